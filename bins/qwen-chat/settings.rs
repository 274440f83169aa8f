//! The settings of a run.

use qwen_shared::exit::Failure;
use qwen_shared::net::config::{Overrides, Settings};
use qwen_shared::output::Reporter;
use qwen_shared::secret::Secret;

use super::args::Args;

/// Returns what the command line says about the settings.
pub(crate) fn overrides(args: &Args) -> Overrides {
    Overrides {
        profile: args.common.profile.clone(),
        api_key: args.endpoint.openai_api_key.clone().map(Secret::new),
        base_url: args.endpoint.openai_base_url.clone(),
        model: args.endpoint.model.clone(),
        profile_first: false,
    }
}

/// Resolves the settings and reports their notices.
pub(crate) fn resolve(overrides: &Overrides, reporter: &Reporter) -> Result<Settings, Failure> {
    let settings = Settings::resolve(overrides)?;
    settings.report(reporter);
    Ok(settings)
}
