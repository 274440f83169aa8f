//! The black-box tests: real processes, real sockets, real files. One module a subject, one binary for all.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::too_many_lines
)]
#![allow(unreachable_pub, missing_docs)]

mod support;

mod auth;
mod auth_logout;
mod batch_faults;
mod batch_flow;
mod batch_remote;
mod batch_resume;
mod batch_run;
mod batch_streams;
mod batch_submit;
mod chat_answers;
mod chat_conversation;
mod chat_faults;
mod chat_input;
mod chat_model;
mod chat_output;
mod chat_refusals;
mod chat_request;
mod chat_secrets;
mod chat_session;
mod chat_tls;
mod completions;
mod conduct;
mod config_file;
mod contract;
mod dependencies;
mod env;
mod env_auth;
mod env_chain;
mod env_consent;
mod env_dialects;
mod env_explain;
mod env_grammar;
mod env_hook;
mod env_input;
mod env_keys;
mod env_marks;
mod env_policy;
mod env_record;
mod env_shells;
mod examples;
mod gateways;
mod house;
mod http_limits;
mod install;
mod login_browser;
mod login_config;
mod login_device;
mod login_endpoint;
mod login_faults;
mod login_identity;
mod login_key;
mod login_qwen_code;
mod login_store;
mod login_terminal;
mod oauth_discovery;
mod own_files;
mod pages;
mod qwen;
mod rate_limit;
mod readme;
mod redaction;
mod secrets;
mod settings;
mod settings_qwen_code;
mod standing;
mod start;
mod token;
mod token_crash;
mod token_keyring;
mod token_lock;
mod token_many;
mod token_refresh;
mod wire;
