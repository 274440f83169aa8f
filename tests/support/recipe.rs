//! A reader of qwen-recipes(7) and qwen-faq(7), who copies from the screen, and the machine that this reader has.

use std::sync::OnceLock;

use serde_json::json;

use super::page::{Display, Page};
use super::{Reply, Request, Run, Sandbox, Server, Tool, binary};

/// The key of the reader.
pub const KEY: &str = "sk-canary-of-the-reader";

/// What pages show under a heading, as it stands on the screen: every line with the page's own indentation before it.
#[track_caller]
pub fn copied(file: &str, heading: &str) -> Vec<String> {
    static PAGES: OnceLock<Vec<(String, Vec<Display>)>> = OnceLock::new();
    let pages = PAGES.get_or_init(|| {
        let pages = Page::all().into_iter().filter(|page| page.file.ends_with(".7"));
        pages.map(|page| (page.file.clone(), page.displays())).collect()
    });
    let (_, displays) = pages.iter().find(|(name, _)| name == file).unwrap();
    let found = displays.iter().filter(|display| display.heading == heading);
    let found: Vec<String> = found.map(|display| display.copied.clone()).collect();
    assert!(!found.is_empty(), "{file} shows nothing under '{heading}'");
    found
}

/// The recipe of that heading, which is the number-th display there.
#[track_caller]
pub fn recipe(heading: &str, number: usize) -> String {
    copied("qwen-recipes.7", heading)[number].clone()
}

/// An answer in the form that was asked for.
pub fn reply(request: &Request, text: &str) -> Reply {
    let usage = json!({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7});
    let data = |choice, usage| {
        let chunk = json!({"id": "1", "model": "tiny", "choices": [choice], "usage": usage});
        format!("data: {chunk}\n\n")
    };
    if request.method == "GET" {
        return Reply::json(200, r#"{"data": [{"id": "tiny"}, {"id": "large"}]}"#);
    }
    if request.json()["stream"] != true {
        let message = json!({"role": "assistant", "content": text});
        let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
        let answer = json!({"id": "1", "model": "tiny", "choices": [choice], "usage": usage});
        return Reply::json(200, &answer.to_string());
    }
    let delta = json!({"index": 0, "delta": {"content": text}, "finish_reason": null});
    let end = json!({"index": 0, "delta": {}, "finish_reason": "stop"});
    Reply::stream([
        data(delta, json!(null)),
        data(end, usage),
        "data: [DONE]\n\n".to_owned(),
    ])
}

/// The beginning of an answer, and then the connection breaks.
pub fn broken(text: &str) -> Reply {
    let choice = json!({"index": 0, "delta": {"content": text}, "finish_reason": null});
    let chunk = json!({"id": "1", "model": "tiny", "choices": [choice]});
    Reply::stream_head().chunk(format!("data: {chunk}\n\n")).reset()
}

/// What an endpoint says to a wrong key.
pub fn refusal() -> Reply {
    let error = json!({"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}});
    Reply::json(401, &error.to_string())
}

/// An endpoint that gives the same answer to all.
pub fn answering(text: &'static str) -> Server {
    Server::answering(move |_, request| reply(request, text))
}

/// What was asked, in the order in which it came: the texts of the messages.
pub fn asked(server: &Server) -> Vec<String> {
    let posts = server
        .requests()
        .into_iter()
        .filter(|request| request.method == "POST");
    let text = |request: Request| {
        let messages = request.json()["messages"].as_array().unwrap().clone();
        let texts = messages
            .iter()
            .map(|message| message["content"].as_str().unwrap_or_default());
        texts.collect::<Vec<_>>().join("\n")
    };
    posts.map(text).collect()
}

/// A person's shell that has just the environment which is needed, and the programs of the toolkit.
pub fn shell(sandbox: &Sandbox, url: &str, program: &str, script: &str) -> Tool {
    let path = format!(
        "{}:{}:/usr/bin:/bin",
        sandbox.root().join("bin").display(),
        tools()
    );
    let tool = sandbox
        .command(program)
        .args(["-c", script, "shell"])
        .env("PATH", path);
    let tool = tool
        .env("OPENAI_API_KEY", KEY)
        .env("OPENAI_BASE_URL", url)
        .env("OPENAI_MODEL", "tiny");
    let tool = tool
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1");
    ["AUTHOR", "COMMITTER"].into_iter().fold(tool, |tool, who| {
        tool.env(format!("GIT_{who}_NAME"), "Ada")
            .env(format!("GIT_{who}_EMAIL"), "ada@lab.test")
    })
}

/// The directory of the programs.
pub fn tools() -> String {
    binary("qwen").parent().unwrap().display().to_string()
}

/// The value of a header line `# NAME: VALUE` of a case's file.
pub fn header<'a>(case: &'a str, name: &str) -> Option<&'a str> {
    case.lines()
        .find_map(|line| line.strip_prefix("# ")?.strip_prefix(name)?.strip_prefix(": "))
}

/// What a case's script begins with.
pub const PRELUDE: &str = r#"set -e
is() { [ "$1" = "$2" ] || { printf "not '%s' but '%s'\n" "$2" "$1" >&2; exit 1; }; }
"#;

/// The endpoint of a case, by the word that the case has for it.
pub fn endpoint(case: &str, answer: &str) -> Server {
    let answer =
        header(case, "answer").map_or_else(|| answer.to_owned(), |answer| answer.replace("\\n", "\n"));
    let kind = header(case, "server").unwrap_or("answers").to_owned();
    let server = Server::answering(move |count, request| match &*kind {
        "limits" if count % 2 == 0 => {
            let words = "Rate limit reached on requests per min. Limit: 3 / min. Please try again in 1s.";
            let error = json!({"error": {"message": words, "code": "rate_limit_exceeded"}});
            Reply::json(429, &error.to_string())
        }
        "answers" | "limits" => reply(request, &answer),
        "fails" => Reply::json(500, r#"{"error": {"message": "The server had an error"}}"#),
        "refuses" => refusal(),
        "holds" => Reply::default().hold(),
        "breaks" => broken("Sing at"),
        other => panic!("no server '{other}'"),
    });
    server.optional()
}

/// What went wrong when a case was run, by its headers `asked`, `sent` and `not sent`.
pub fn fault(case: &str, server: &Server, run: &Run) -> Option<String> {
    let questions = asked(server);
    let wanted: usize = header(case, "asked").unwrap().parse().unwrap();
    let sent = questions.concat();
    let is_good = run.code() == 0
        && questions.len() == wanted
        && header(case, "sent").is_none_or(|text| sent.contains(text))
        && header(case, "not sent").is_none_or(|text| !sent.contains(text));
    (!is_good).then(|| {
        let clipped: Vec<String> = questions
            .iter()
            .map(|sent| sent.chars().take(500).collect())
            .collect();
        format!(
            "{} questions: {clipped:#?}\n{}\n{run:#?}\n",
            questions.len(),
            run.text()
        )
    })
}
