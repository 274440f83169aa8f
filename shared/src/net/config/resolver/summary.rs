//! What a profile alone says.

use super::{Resolver, Unset};
use crate::exit::Failure;
use crate::net::config::profile::Profile;
use crate::net::config::qwen_code::QwenCodeSettings;
use crate::net::http::BaseUrl;

/// The settings of a profile without flags, variables and `.env` files; `None` for what is not set.
#[derive(Debug)]
pub struct ProfileSummary {
    /// As [`Settings::method`](crate::net::config::Settings::method).
    pub method: Option<&'static str>,
    /// The provider's name.
    pub provider: Option<String>,
    /// As [`Settings::base_url`](crate::net::config::Settings::base_url).
    pub base_url: Option<String>,
    /// As [`Settings::model`](crate::net::config::Settings::model).
    pub model: Option<String>,
}

impl ProfileSummary {
    /// Resolves a profile as [`Settings::resolve`](crate::net::config::Settings::resolve) does. One that cannot be resolved is shown as it is written.
    #[must_use]
    pub fn new(profile: &Profile, qwen_code: &QwenCodeSettings) -> Self {
        let unset = Unset::default();
        let mut resolver = Resolver::of_profile(profile, qwen_code, &unset);
        resolver.summary().unwrap_or_else(|_| Self {
            method: resolver.written_method(),
            provider: profile.provider.clone(),
            base_url: profile.base_url.as_ref().map(BaseUrl::to_string),
            model: profile.model.clone(),
        })
    }
}

impl Resolver<'_> {
    fn summary(&mut self) -> Result<ProfileSummary, Failure> {
        self.ask_qwen_code()?;
        let base_url = self.configured_base_url()?;
        let provider = self.provider(base_url.as_ref())?;
        let method = match self.credential(&provider, base_url.as_ref()) {
            Ok(credential) => Some(credential.auth.value.method()),
            Err(_) => self.written_method(),
        };
        let endpoint = self.endpoint(base_url, provider, self.profile.uses_oauth())?;
        Ok(ProfileSummary {
            method,
            provider: Some(endpoint.provider.value.name.clone()),
            base_url: Some(endpoint.base_url.value.to_string()),
            model: Some(endpoint.model.value),
        })
    }
}
