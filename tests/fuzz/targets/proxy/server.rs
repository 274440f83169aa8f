//! The parts of the server that read what a client sends, without those that serve.

#[path = "../../../../bins/qwen-proxy/server/additions.rs"]
mod additions;
#[path = "../../../../bins/qwen-proxy/server/extent.rs"]
mod extent;
#[path = "../../../../bins/qwen-proxy/server/head_scan.rs"]
mod head_scan;
#[path = "../../../../bins/qwen-proxy/server/members.rs"]
mod members;
#[path = "../../../../bins/qwen-proxy/server/multipart.rs"]
mod multipart;
#[path = "../../../../bins/qwen-proxy/server/naming.rs"]
mod naming;
#[path = "../../properties/proxy.rs"]
pub(crate) mod property;
#[path = "../../../../bins/qwen-proxy/server/reading.rs"]
mod reading;
#[path = "../../../../bins/qwen-proxy/server/refusal.rs"]
mod refusal;
#[path = "../../../../bins/qwen-proxy/server/route.rs"]
mod route;
#[path = "../../../../bins/qwen-proxy/server/rules.rs"]
mod rules;
#[path = "../../../../bins/qwen-proxy/server/usage.rs"]
mod usage;

/// The body of an answer, of which a refusal makes one.
mod answer {
    pub(super) struct AnswerBody;

    impl AnswerBody {
        pub(super) fn whole(_: Vec<u8>) -> Self {
            Self
        }
    }
}
