//! OAuth 2.0 for a public client: endpoints and their discovery (RFC 8414), token responses and refresh (RFC 6749).
//!
//! Nothing here prints or stores; requests go through a [`Transport`].

mod endpoints;
mod error;
mod requests;
mod resource_url;
mod token;
mod transport;

pub use endpoints::{Endpoints, PublicClient, discover};
pub use error::OauthError;
pub use requests::{Form, refresh};
pub use resource_url::{base_url_from_resource, is_allowed};
pub use token::{TokenResponse, json_object, seconds};
pub use transport::{BlockingTransport, HttpResponse, Transport};
