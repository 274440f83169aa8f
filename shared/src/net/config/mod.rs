//! Settings with their sources: flag → process environment → `.env` chain → profile → Qwen Code's settings →
//! provider default. The first value wins; blank counts as absent.

mod binding;
mod destination;
mod file;
mod lookup;
mod members;
mod profile;
mod qwen_code;
mod resolver;
mod settings;

pub use binding::Binding;
pub use file::{Config, Theme};
pub use profile::{BOUND_MEMBERS, KeySetting, Method, Profile, Reasoning, TimeoutSettings, check_name};
pub use qwen_code::{Connection, Given, QwenCodeSettings};
pub use resolver::{ProfileSummary, active_profile, own_variable, unknown_provider};
pub use settings::{Auth, Key, Overrides, Settings, Source, Sourced};
