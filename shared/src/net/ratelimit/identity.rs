//! Whose quota it is.

use url::Url;

use crate::net::config::{Auth, Settings};
use crate::secret::Secret;

/// Names the credential whose quota is used: the same for all processes and profiles that share it.
///
/// A key is its own name, at its server; so two profiles with the same key share its quota. A login keeps its name when
/// its token changes. The name holds the secret: it is for [`super::Pace::new`], which keeps a digest of it alone.
#[must_use]
pub fn identity(settings: &Settings, key: Option<&Secret<String>>) -> Secret<String> {
    let server = settings.base_url.value.origin().ascii_serialization();
    Secret::new(match &settings.auth.value {
        Auth::Oauth { server, .. } => {
            let endpoint = server.token_endpoint.as_ref().map(Url::as_str);
            let endpoint = endpoint.or(server.issuer.as_deref()).unwrap_or_default();
            format!("login\n{endpoint}\n{}", settings.profile_name())
        }
        _ => match key {
            Some(key) => format!("key\n{server}\n{}", key.expose()),
            None => format!("open\n{server}"),
        },
    })
}
