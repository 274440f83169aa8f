//! Which paths and methods are passed on.

use hyper::{Method, StatusCode};

use super::refusal::Refusal;

/// What every path begins with.
const PREFIX: &str = "/v1/";

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    Chat,
    Completions,
    Responses,
    Embeddings,
    /// Audio and images: JSON or a form.
    Media,
    /// The list of models.
    Models,
    /// One model, by its name.
    Model,
    /// A path that was allowed by name.
    Allowed,
}

/// A request's place in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) method: &'static str,
    /// The path below `/v1`, as it came, with the slash before it.
    pub(super) path: String,
    pub(super) service: Service,
}

impl Route {
    /// True for a request that a model answers, so that it is counted and has a body that names one.
    pub(super) const fn is_question(&self) -> bool {
        !matches!(self.service, Service::Models | Service::Model | Service::Allowed)
    }
}

const TABLE: [(&str, &str, Service); 11] = [
    ("POST", "chat/completions", Service::Chat),
    ("POST", "completions", Service::Completions),
    ("POST", "responses", Service::Responses),
    ("POST", "embeddings", Service::Embeddings),
    ("POST", "audio/speech", Service::Media),
    ("POST", "audio/transcriptions", Service::Media),
    ("POST", "audio/translations", Service::Media),
    ("POST", "images/generations", Service::Media),
    ("POST", "images/edits", Service::Media),
    ("POST", "images/variations", Service::Media),
    ("GET", "models", Service::Models),
];

/// A path of `--allow`: segments, of which `*` and `{name}` are any.
#[derive(Clone, Debug)]
pub(super) struct Pattern(Vec<String>);

impl Pattern {
    /// Reads a path, with or without `/v1` before it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let path = text.trim_start_matches('/');
        let path = path.strip_prefix("v1/").unwrap_or(path).trim_end_matches('/');
        let check = check_path(&format!("{PREFIX}{}", path.replace(['{', '}', '*'], "x")));
        if path.is_empty() || check.is_err() || path.contains(['?', '#', ' ']) {
            return Err(format!(
                "--allow: '{text}' is no path below /v1, such as 'files' or 'responses/{{id}}'"
            ));
        }
        Ok(Self(path.split('/').map(str::to_owned).collect()))
    }

    /// True for the path itself and what is below it.
    fn matches(&self, path: &str) -> bool {
        let mut segments = path.split('/');
        self.0.iter().all(|wanted| {
            let is_any = wanted == "*" || wanted.starts_with('{') && wanted.ends_with('}');
            segments.next().is_some_and(|segment| is_any || segment == wanted)
        })
    }
}

/// Finds the place of a request in the table.
///
/// # Errors
/// 400 for a path that servers read in different ways, 404 for one that is not in the table, 405 for its other methods.
pub(super) fn find(method: &Method, path: &str, allowed: &[Pattern]) -> Result<Route, Refusal> {
    if let Some(route) = in_table(method, path) {
        return Ok(route);
    }
    check_path(path).map_err(|why| Refusal::bad_request("invalid_path", why))?;
    let not_found = || {
        Refusal::request(
            StatusCode::NOT_FOUND,
            "path_not_allowed",
            "this path is not passed on by qwen-proxy, which lends OpenAI's API below /v1 and no other",
        )
    };
    let below = path.strip_prefix(PREFIX).ok_or_else(not_found)?;
    let route = |method, service| Route {
        method,
        path: format!("/{below}"),
        service,
    };
    // What is left out of an answer to HEAD is left out here (RFC 9110, section 9.3.2).
    let method = match method {
        &Method::HEAD => "GET",
        method => method.as_str(),
    };
    let place = place_of(below);
    if let Some((known, service)) = place
        && method == known
    {
        return Ok(route(known, service));
    }
    let is_allowed = allowed.iter().any(|pattern| pattern.matches(below));
    match ["GET", "POST", "DELETE"].into_iter().find(|own| method == *own) {
        Some(method) if is_allowed => Ok(route(method, Service::Allowed)),
        _ if is_allowed => Err(method_refused("GET, HEAD, POST, DELETE")),
        _ => match place {
            Some(("GET", _)) => Err(method_refused("GET, HEAD")),
            Some((known, _)) => Err(method_refused(known)),
            None => Err(not_found()),
        },
    }
}

/// Finds a request that stands in the table as it is, as nearly all do: nothing in such a path could be read in two ways.
fn in_table(method: &Method, path: &str) -> Option<Route> {
    let below = path.strip_prefix(PREFIX)?;
    let (method, _, service) = TABLE
        .iter()
        .find(|(wanted, known, _)| *known == below && method.as_str() == *wanted)?;
    Some(Route {
        method,
        path: path[PREFIX.len() - 1..].to_owned(),
        service: *service,
    })
}

/// Returns the method of a path in the table, and what it asks for.
fn place_of(below: &str) -> Option<(&'static str, Service)> {
    let place = TABLE.iter().find(|(_, known, _)| *known == below);
    let is_model = || below.strip_prefix("models/").is_some_and(|id| !id.is_empty());
    place
        .map(|(method, _, service)| (*method, *service))
        .or_else(|| is_model().then_some(("GET", Service::Model)))
}

fn method_refused(allowed: &'static str) -> Refusal {
    Refusal::method_not_allowed(
        allowed,
        "this method is not passed on for this path by qwen-proxy",
    )
}

/// Refuses what one server reads as another path than the next: dot segments, empty ones, codes of codes, control
/// characters, backslashes. A slash may be encoded within a name.
fn check_path(path: &str) -> Result<(), &'static str> {
    if path == "/" {
        return Ok(());
    }
    if !path.starts_with('/') {
        return Err("the path does not begin with a slash");
    }
    let decoded = decoded(path)?;
    if decoded.contains(&b'%') {
        return Err("a code of a code in the path");
    }
    if decoded
        .iter()
        .any(|byte| byte.is_ascii_control() || *byte == b'\\')
    {
        return Err("a control character or a backslash in the path");
    }
    let text = String::from_utf8(decoded).map_err(|_| "the path is not UTF-8")?;
    // A parameter of a segment (`..;x`) is dropped by some servers.
    let name = |segment: &str| segment.split(';').next().unwrap_or_default().trim().to_owned();
    match text
        .split('/')
        .skip(1)
        .map(name)
        .find(|name| matches!(name.as_str(), "" | "." | ".."))
    {
        Some(name) if name.is_empty() => Err("an empty segment in the path"),
        Some(_) => Err("a dot segment in the path"),
        None => Ok(()),
    }
}

/// Undoes the percent-encoding of a path.
fn decoded(path: &str) -> Result<Vec<u8>, &'static str> {
    const HEX: &str = "a percent sign in the path is not followed by two hexadecimal digits";
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let code = digit().zip(digit()).ok_or(HEX)?;
                u8::try_from(code.0 << 4 | code.1).map_err(|_| HEX)?
            }
            b'\\' => return Err("a backslash in the path"),
            plain => plain,
        };
        decoded.push(byte);
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use hyper::Method;

    use super::{Pattern, Service, check_path, find};

    const AMBIGUOUS: [&str; 27] = [
        "v1/models",
        "*",
        "",
        "/v1//models",
        "/v1/models/",
        "/v1/./models",
        "/v1/../models",
        "/v1/..",
        "/v1/%2e%2e/models",
        "/v1/%2E/models",
        "/v1/.%2e/x",
        "/v1/models%2f..%2fx",
        "/v1/models/%2F",
        "/v1/%252e%252e/x",
        "/v1/models/a%252Fb",
        "/v1/models%00",
        "/v1/models/a%0d%0aX:y",
        "/v1\\models",
        "/v1/%5c..%5cx",
        "/v1/..;/x",
        "/v1/.;a/x",
        "/v1/models/%",
        "/v1/models/%zz",
        "/v1/models/%2",
        "/v1/%ff",
        "/v1/models/%7f",
        "/v1/;/models",
    ];

    #[test]
    fn a_path_that_could_be_another_one_is_refused() {
        for path in [
            "/",
            "/v1/models",
            "/v1/models/openai%2Fgpt-4o",
            "/v1/models/openai/gpt-4o:free",
            "/v1/models/ft:gpt-4o@x",
            "/v1/models/a..b",
            "/v1/models/%E9%80%9A",
        ] {
            assert_eq!(check_path(path), Ok(()), "{path}");
        }
        for path in AMBIGUOUS {
            assert!(check_path(path).is_err(), "{path}");
        }
    }

    #[test]
    fn methods_and_paths_are_those_of_the_table() {
        for (method, path, service) in [
            (Method::POST, "/v1/chat/completions", Some(Service::Chat)),
            (Method::GET, "/v1/models", Some(Service::Models)),
            (Method::GET, "/v1/models/a/b", Some(Service::Model)),
            (Method::POST, "/v1/images/edits", Some(Service::Media)),
            (Method::GET, "/v1/chat/completions", None),
            (Method::DELETE, "/v1/models/ft:x", None),
            (Method::HEAD, "/v1/models", Some(Service::Models)),
            (Method::HEAD, "/v1/models/a", Some(Service::Model)),
            (Method::HEAD, "/v1/chat/completions", None),
            (Method::POST, "/v1/realtime/client_secrets", None),
            (Method::GET, "/v1/files", None),
            (Method::GET, "/v1/responses/r1", None),
            (Method::POST, "/V1/chat/completions", None),
            (Method::POST, "/v1/Chat/completions", None),
            (Method::POST, "/chat/completions", None),
            (Method::POST, "/v1/chat/completions/x", None),
        ] {
            let found = find(&method, path, &[]).ok().map(|route| route.service);
            assert_eq!(found, service, "{method} {path}");
        }
    }

    #[test]
    fn what_is_allowed_by_name_is_the_path_and_what_is_below_it() {
        let allowed: Vec<_> = ["files", "/v1/responses/{id}", "vector_stores/*/files"]
            .iter()
            .map(|text| Pattern::parse(text).unwrap())
            .collect();
        for (method, path, is_allowed) in [
            (Method::GET, "/v1/files", true),
            (Method::DELETE, "/v1/files/f1", true),
            (Method::GET, "/v1/files/f1/content", true),
            (Method::PUT, "/v1/files/f1", false),
            (Method::GET, "/v1/filesystem", false),
            (Method::GET, "/v1/responses/r1", true),
            (Method::POST, "/v1/responses/r1/cancel", true),
            (Method::GET, "/v1/responses", false),
            (Method::GET, "/v1/vector_stores/v1/files", true),
            (Method::GET, "/v1/vector_stores/v1", false),
            (Method::GET, "/v1/batches", false),
        ] {
            assert_eq!(
                find(&method, path, &allowed).is_ok(),
                is_allowed,
                "{method} {path}"
            );
        }
        for bad in ["", "/", "../x", "files?x", "a//b", "/v1/", "%2e%2e", "a b"] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }
}
