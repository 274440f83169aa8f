//! The record of what came with a project, so that it does not pass for the user's own word in the shell or the command that
//! gets it.

use std::path::Path;

use qwen_shared::dotenv::{NO_KEY, Record, Trust};
use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::config::Settings;
use qwen_shared::secret::Secret;

/// Returns the value of `QWEN_ENV_EXPORTED` that goes with these variables, at most `limit` bytes long; `None` where none of
/// them came with a project: then what there is stays as it is.
///
/// # Errors
/// 78 where there is no room for it.
pub(crate) fn record(
    settings: &Settings,
    variables: &[(&'static str, Secret<String>)],
    limit: usize,
) -> Result<Option<String>, Failure> {
    let endpoint = &settings.base_url.source;
    let mut record = Record::from_process().unwrap_or_default().continued();
    let mut is_needed = false;
    for (name, value) in variables {
        let source = match *name {
            "OPENAI_API_KEY" => &settings.auth.source,
            "OPENAI_MODEL" => &settings.model.source,
            _ => endpoint,
        };
        let is_no_key = *name == "OPENAI_API_KEY" && value.expose() == NO_KEY;
        let file = match is_no_key {
            true if endpoint.is_project() => None,
            _ if source.is_project() => {
                let unknown = Path::new("");
                Some((source.env_file().unwrap_or(unknown), Trust::UntrustedProject))
            }
            _ => continue,
        };
        record.ensure_key();
        if !record.insert(name, value.expose(), file, limit) {
            return Err(Failure::new(
                Exit::Config,
                "the environment has no room for the record of what came with a project",
            ));
        }
        is_needed = true;
    }
    Ok(is_needed.then(|| record.text()))
}
