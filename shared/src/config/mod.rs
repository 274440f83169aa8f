//! Settings with their sources: flag → process environment → `.env` chain → profile → Qwen Code's settings →
//! provider default. The first that says something wins; blank says nothing.

mod access;
mod faults;
mod file;
mod guard;
mod lookup;
mod profile;
mod qwen_code;
mod resolve;
mod settings;
mod source;
mod unique;

pub use access::chosen_store;
pub use faults::unknown_provider;
pub use file::Config;
pub use profile::{KeySetting, Method, Profile, StoreName, TimeoutSettings, check_name};
pub use qwen_code::QwenCodeSettings;
pub use resolve::active_profile;
pub use settings::{Access, Key, Overrides, Settings};
pub use source::{Source, Sourced};
