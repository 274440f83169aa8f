//! What every kind of login needs.

use qwen_shared::output::Reporter;
use qwen_shared::provider::Provider;
use qwen_shared::terminal::Terminal;

use crate::args::Args;
use crate::profile::LoginProfile;

/// The options, the profile, and how to reach the person.
pub(crate) struct Login<'a> {
    pub(crate) args: Args,
    pub(crate) reporter: &'a Reporter,
    pub(crate) profile: LoginProfile,
    /// The provider of `--provider`.
    pub(crate) provider: Option<&'static Provider>,
    /// `None` where nobody can be asked.
    pub(crate) terminal: Option<Terminal>,
}
