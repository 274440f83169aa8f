//! The settings of a run.

use qwen_shared::exit::Failure;
use qwen_shared::net::config::{Overrides, Settings};
use qwen_shared::output::Reporter;

/// Resolves the settings and reports their notices.
pub(crate) fn resolve(overrides: &Overrides, reporter: &Reporter) -> Result<Settings, Failure> {
    let settings = Settings::resolve(overrides)?;
    settings.report(reporter);
    Ok(settings)
}
