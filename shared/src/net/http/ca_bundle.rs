//! Files of CA certificates that the usual reader does not understand.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Returns the certificates of a file that the usual reader does not find: behind a byte-order mark, and those of OpenSSL's own
/// form, where what the certificate is trusted for stands behind it (`openssl x509 -trustout`). `None` for any other file.
pub(super) fn written_otherwise(file: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    const TRUSTED: &str = " TRUSTED CERTIFICATE-----";
    let text = str::from_utf8(file).ok()?;
    let plain = text.trim_start_matches('\u{feff}');
    if plain.len() == text.len() && !text.contains(TRUSTED) {
        return None;
    }
    let plain = plain.replace(TRUSTED, " CERTIFICATE-----");
    let certs = CertificateDer::pem_slice_iter(plain.as_bytes()).filter_map(Result::ok);
    Some(certs.map(|cert| first_element(&cert).to_vec().into()).collect())
}

/// Returns the first element of DER (X.690, section 8.1), with its head; all of it where there is nothing behind it.
fn first_element(der: &[u8]) -> &[u8] {
    let length = match *der {
        [_, short @ 0..=0x7f, ..] => 2 + usize::from(short),
        [_, 0x82, high, low, ..] => 4 + usize::from(high) * 256 + usize::from(low),
        _ => der.len(),
    };
    der.get(..length).unwrap_or(der)
}
