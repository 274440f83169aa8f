//! What clients send to an address of a project besides the key.

use qwen_shared::dotenv::{Record, carriers, command_about};
use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::config::Settings;

/// The variable that says to OpenAI's clients where to send what the environment holds.
const ADDRESS: &str = "OPENAI_BASE_URL";

/// Checks that the environment has nothing of the user's that clients would send to a project's address.
///
/// # Errors
/// 78, with the variable.
pub(crate) fn check_carriers(settings: &Settings) -> Result<(), Failure> {
    let source = &settings.base_url.source;
    if !source.is_project() {
        return Ok(());
    }
    let (file, record) = (source.env_file(), Record::from_process().unwrap_or_default());
    let is_others = |name: &str| {
        let Some(value) = std::env::var_os(name) else {
            return false;
        };
        let origin = record.origin(name, &value);
        let of_file = origin.is_some_and(|origin| file.is_some() && origin.file.as_deref() == file);
        !of_file && !value.to_string_lossy().trim().is_empty()
    };
    let Some(name) = carriers(ADDRESS).into_iter().find(|name| is_others(name)) else {
        return Ok(());
    };
    let message = format!(
        "{source}: {ADDRESS} is not exported: clients would send '{name}' there too, which is not of the same untrusted file"
    );
    let mut failure =
        Failure::new(Exit::Config, message).hint(format!("run 'unset {name}' if it is not needed"));
    if let Some(command) = file.and_then(|file| command_about("qwen-env --trust", file)) {
        failure = failure.hint(format!(
            "or run '{command}' if this project may choose where keys are sent"
        ));
    }
    Err(failure)
}
