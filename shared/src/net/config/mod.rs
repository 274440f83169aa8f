//! Settings with their sources: flag → process environment → `.env` chain → profile → Qwen Code's settings →
//! provider default. The first that says something wins; blank says nothing.

mod file;
mod profile;
mod qwen_code;
mod resolver;
mod settings;

pub use file::Config;
pub use profile::{KeySetting, Method, Profile, TimeoutSettings, check_name};
pub use qwen_code::QwenCodeSettings;
pub use resolver::active_profile;
pub use settings::{Access, Key, Overrides, Settings, Source, Sourced, unknown_provider};
