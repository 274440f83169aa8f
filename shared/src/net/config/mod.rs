//! Settings with their sources: flag → process environment → `.env` chain → profile → Qwen Code's settings →
//! provider default. The first value wins; blank counts as absent.

mod binding;
mod destination;
mod document;
mod fault;
mod faults;
mod file;
mod json_fault;
mod known;
mod lint;
mod lookup;
mod mask;
mod members;
mod moved;
mod profile;
mod qwen_code;
mod resolver;
mod schema;
mod settings;

pub use binding::Binding;
pub use fault::{Fault, Severity};
pub use faults::faults;
pub use file::Config;
pub use known::Theme;
pub use mask::mask_profile;
pub use members::{Kind, MEMBERS, Meant, Member, meant, member_at, nearest};
pub use moved::{Move, login_endpoint, remove_bound_members, secret_members, stored_for};
pub use profile::{
    BOUND_MEMBERS, KeyCommand, KeySetting, Method, Profile, Reasoning, TimeoutSettings, check_name,
};
pub use qwen_code::{Connection, Given, HeldKey, QwenCodeSettings};
pub use resolver::{
    LENT_ADDRESS, ProfileSummary, active_profile, hint_at_providers, no_such_profile, own_variable,
    unknown_provider,
};
pub use schema::schema;
pub use settings::{Auth, Key, Overrides, Settings, Source, Sourced};
