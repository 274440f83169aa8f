//! The certificates that are trusted, and the TLS settings made of them.

use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_native_certs::{CertificateResult, ErrorKind, load_certs_from_paths, load_native_certs};

use super::error::HttpError;
use crate::fs::cannot;

/// The bundle that Debian and its relatives keep: one file, where the directory beside it has some 150.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Makes the TLS settings of a client.
///
/// Without `with_roots` no certificate is read or trusted: for plain `http`, where reading them would be a third of a
/// short request's time.
///
/// # Errors
/// A `SSL_CERT_FILE` or `SSL_CERT_DIR` that yields no certificate.
pub(super) fn tls_settings(with_roots: bool) -> Result<ClientConfig, HttpError> {
    let mut roots = RootCertStore::empty();
    if with_roots {
        let found = load();
        let first_error = found.errors.first().map(reason);
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let reason = first_error.unwrap_or_else(|| match named() {
                Some(name) => format!("there is none where {name} points"),
                None => "the system has none".to_owned(),
            });
            return Err(HttpError::Tls {
                reason: format!("no CA certificates: {reason}"),
                unknown_issuer: true,
            });
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let settings = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| HttpError::Invalid(error.to_string()))?;
    Ok(settings.with_root_certificates(roots).with_no_client_auth())
}

/// Returns the variable that names the certificates.
fn named() -> Option<&'static str> {
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().find(is_set)
}

/// Says why certificates cannot be read.
fn reason(error: &rustls_native_certs::Error) -> String {
    match &error.kind {
        ErrorKind::Io { inner, path } => cannot("read", path, inner),
        _ => error.to_string(),
    }
}

fn load() -> CertificateResult {
    let bundle = Path::new(BUNDLE);
    if named().is_none() && bundle.is_file() {
        let found = load_certs_from_paths(Some(bundle), None);
        if !found.certs.is_empty() {
            return found;
        }
    }
    load_native_certs()
}
