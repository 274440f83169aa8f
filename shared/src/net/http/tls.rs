//! The certificates that are trusted, and the TLS settings made of them.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme,
};
use rustls_native_certs::{CertificateResult, ErrorKind, load_certs_from_paths, load_native_certs};

use super::ca_bundle::written_otherwise;
use super::error::HttpError;
use super::p521;
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
                is_garbled: false,
            });
        }
    }
    let provider = Arc::new(p521::provider());
    let settings = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| HttpError::Invalid(error.to_string()))?;
    if roots.is_empty() {
        return Ok(settings.with_root_certificates(roots).with_no_client_auth());
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| HttpError::Invalid(error.to_string()))?;
    let verifier = Arc::new(Verifier(verifier));
    let settings = settings.dangerous().with_custom_certificate_verifier(verifier);
    Ok(settings.with_no_client_auth())
}

/// A certificate that its own key signed, and that is not trusted.
#[derive(Debug)]
pub(super) struct SelfSigned;

impl fmt::Display for SelfSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("self-signed")
    }
}

impl std::error::Error for SelfSigned {}

/// The usual checks, and one more case that passes: a server's certificate that stands byte for byte among the trusted ones,
/// as every tutorial for one's own server makes it (`openssl req -x509`). By itself the verifier refuses such a certificate
/// where it is marked as an authority's, and one whose issuer is not there.
#[derive(Debug)]
struct Verifier(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self
            .0
            .verify_server_cert(end_entity, intermediates, name, ocsp_response, now);
        // These are found after the dates were checked, and before the name is.
        let Err(rustls::Error::InvalidCertificate(fault)) = &verified else {
            return verified;
        };
        // A signature is wrong where one of the same name but of another key is trusted.
        let is_about_issuer = matches!(
            fault,
            CertificateError::UnknownIssuer | CertificateError::BadSignature
        ) || is_of_authority(fault);
        if !is_about_issuer {
            return verified;
        }
        if load().certs.contains(end_entity) {
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
            return Ok(ServerCertVerified::assertion());
        }
        let parsed = webpki::EndEntityCert::try_from(end_entity);
        if parsed.is_ok_and(|parsed| parsed.issuer() == parsed.subject()) {
            return Err(CertificateError::Other(OtherError(Arc::new(SelfSigned))).into());
        }
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// True for the fault of a certificate that is an authority's where a server's is due.
pub(super) fn is_of_authority(fault: &CertificateError) -> bool {
    matches!(other_fault(fault), Some(webpki::Error::CaUsedAsEndEntity))
}

/// Returns the fault that rustls has no name for.
pub(super) fn other_fault(fault: &CertificateError) -> Option<&webpki::Error> {
    match fault {
        CertificateError::Other(other) => other.0.downcast_ref(),
        _ => None,
    }
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
        _ => "a file does not hold PEM".to_owned(),
    }
}

fn load() -> CertificateResult {
    // What can be read once only, such as a pipe, is left to the usual reader.
    if let Some(file) = std::env::var_os("SSL_CERT_FILE").filter(|name| Path::new(name).is_file())
        && let Ok(text) = std::fs::read(file)
        && let Some(certs) = written_otherwise(&text)
    {
        let mut found = load_native_certs();
        found.certs.extend(certs);
        return found;
    }
    let bundle = Path::new(BUNDLE);
    if named().is_none() && bundle.is_file() {
        let found = load_certs_from_paths(Some(bundle), None);
        if !found.certs.is_empty() {
            return found;
        }
    }
    load_native_certs()
}
