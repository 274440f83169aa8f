//! Token endpoints that end the connection with their answer, in every way that servers and proxies do: what was seen where is
//! in `tests/data/token_connections.json`.
use crate::support::authority::{Authority, device, login as device_login, ok, stored, token};
use crate::support::login::login;
use crate::support::{Reply, Sandbox, Server, tree};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Way {
    name: String,
    /// The report that it is rebuilt from.
    seen: String,
    #[serde(default)]
    before: String,
    version: Option<String>,
    /// The lines between status and body; `LENGTH` and `MORE` stand for the length and a greater one. Without it nothing is sent.
    head: Option<String>,
    last_chunk: Option<bool>,
    /// How much of the body comes.
    part: Option<f64>,
    end: String,
    /// The exit of a refresh that has no answer.
    #[serde(default)]
    exit: i32,
}

impl Way {
    fn all() -> Vec<Self> {
        serde_json::from_str(&tree::read("tests/data/token_connections.json")).unwrap()
    }

    fn reply(&self, body: &str) -> Reply {
        let reply = match &self.head {
            Some(head) => self.answer(head, body),
            None => Reply::default(),
        };
        match self.end.as_str() {
            "close" => reply.close(),
            "reset" => reply.reset(),
            "hold" => reply.hold(),
            other => panic!("{other}"),
        }
    }

    fn answer(&self, head: &str, body: &str) -> Reply {
        let version = self.version.as_deref().unwrap_or("1.1");
        let head = head
            .replace("LENGTH", &body.len().to_string())
            .replace("MORE", &(body.len() + 2).to_string());
        let is_chunked = head.contains("chunked");
        let status = format!("HTTP/{version} 200 OK\r\ncontent-type: application/json\r\n{head}\r\n\r\n");
        let reply = Reply::default().send(format!("{}{status}", self.before));
        let part = (body.len() as f64 * self.part.unwrap_or(1.0)) as usize;
        match is_chunked {
            true if self.last_chunk == Some(false) => reply.chunk(&body[..part]),
            true => reply.chunk(&body[..part]).send("0\r\n\r\n"),
            false => reply.send(&body[..part]),
        }
    }
}

const NEW: &str =
    r#"{"access_token":"at-new","refresh_token":"rt-new","token_type":"Bearer","expires_in":3600}"#;

#[test]
fn a_refresh_has_its_answer_however_the_connection_ends_and_half_an_answer_is_none() {
    for way in Way::all() {
        // Whether a reset overtakes a read is chance: each way a few times.
        for _ in 0..3 {
            let name = format!("{} ({})", way.name, way.seen);
            let server = Server::script([way.reply(NEW)]);
            let sandbox = Sandbox::new();
            sandbox.logged_in(&server.url("/token"), &login(-3600, -1));
            let run = sandbox.tool("qwen-token").run();
            let (printed, kept) = match way.exit {
                0 => ("at-new\n", "rt-new"),
                _ => ("", "rt-old"),
            };
            // A reset may take what came before it along.
            let is_same = way.exit == run.code() || (way.exit == 76 && run.code() == 75);
            assert!(is_same && run.text() == printed, "{name}: {run:#?}");
            assert_eq!(sandbox.stored()["refresh_token"], kept, "{name}");
            assert_eq!(server.requests().len(), 1, "{name}: a refresh is not sent twice");
        }
    }
}

#[test]
fn a_login_has_its_answer_however_the_connection_ends() {
    std::thread::scope(|scope| {
        for way in Way::all().into_iter().filter(|way| way.exit == 0) {
            scope.spawn(move || {
                let authority = Authority::new(ok(&device()), [way.reply(&token().to_string())]);
                let sandbox = Sandbox::new();
                authority.configure(&sandbox);
                let run = device_login(&sandbox).run();
                assert_eq!(run.code(), 0, "{} ({}): {run:#?}", way.name, way.seen);
                assert_eq!(stored(&sandbox)["access_token"], token()["access_token"]);
            });
        }
    });
}
