//! What helps when the server refuses a credential.

use crate::config::{Access, Settings};

/// Returns what to do about a credential that was refused under these settings; `is_fresh` when it is a token that has
/// just been renewed.
#[must_use]
pub fn remedy(settings: &Settings, is_fresh: bool) -> String {
    let profile = settings.profile_name();
    match &settings.access.value {
        Access::Oauth { .. } if is_fresh => format!(
            "the token is fresh, so another login will not help: the account may not use this endpoint or model; \
             run 'qwen-auth use NAME' for another profile than '{profile}'"
        ),
        Access::Oauth { .. } => format!("run 'qwen-login --profile {profile}'"),
        Access::ApiKey(_) => format!("check the key of {}, or run 'qwen-login'", settings.access.source),
        Access::Open => "set OPENAI_API_KEY, or run 'qwen-login --api-key'".to_owned(),
    }
}
