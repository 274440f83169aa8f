//! OAuth 2.0 for a public client: endpoints and their discovery (RFC 8414), token responses and refresh (RFC 6749).
//!
//! Nothing here prints or stores; requests go through a [`Transport`].

mod body;
mod endpoints;
mod error;
mod requests;
mod resource_url;
mod token;
mod transport;

pub use body::members;
pub use endpoints::{LoginEndpoints, PublicClient, revocation_endpoint, token_endpoint};
pub use error::OauthError;
pub use requests::{Form, refresh};
pub use resource_url::{base_url_from_resource, is_allowed};
pub use token::{TokenResponse, object, seconds};
pub use transport::{BlockingTransport, HttpResponse, KeepingTransport, Transport};
