//! Reading an endpoint that a person typed.

use qwen_shared::exit::Exit;
use qwen_shared::failure::Failure;
use qwen_shared::http::{check_endpoint, without_user_info};
use url::Url;

/// How a URL begins, for those who typed a bare host.
const BEGINNING: &str = "https://, or http:// for a server on this machine";

/// Reads the operand of `--base-url`.
///
/// # Errors
/// 64 for what is no URL; 78 for one to which no key may go.
pub(crate) fn typed(text: &str, allow_http: bool) -> Result<Url, Failure> {
    let url = parse(text).map_err(|reason| Failure::new(Exit::Usage, format!("--base-url: {reason}")))?;
    check_endpoint(&url, allow_http)?;
    Ok(url)
}

/// Reads an answer to the question for the base URL.
///
/// # Errors
/// What to type instead.
pub(crate) fn answered(text: &str, allow_http: bool) -> Result<Url, String> {
    let url = parse(text)?;
    match check_endpoint(&url, allow_http) {
        Ok(()) => Ok(url),
        Err(failure) => Err(failure.message),
    }
}

/// Reads a base URL. People copy the whole address of a request: what comes below the base is cut off.
fn parse(text: &str) -> Result<Url, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("a URL is needed, such as https://api.openai.com/v1".to_owned());
    }
    if text.contains("RESOURCE") {
        return Err("put the name of your resource in the place of RESOURCE".to_owned());
    }
    let mut url = Url::parse(text)
        .map_err(|error| format!("this is not a URL ({error}); it begins with {BEGINNING}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!("a URL is needed that begins with {BEGINNING}"));
    }
    let path = url.path().trim_end_matches('/');
    let base = path.strip_suffix("/chat/completions").unwrap_or(path).to_owned();
    url.set_path(&base);
    url.set_fragment(None);
    if url.host_str().is_none_or(str::is_empty) {
        return Err(format!("'{}' names no host", without_user_info(&url)));
    }
    Ok(url)
}
