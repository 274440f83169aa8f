//! What is new and random in every login: the PKCE verifier (RFC 7636) and the request's name.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth2::{PkceCodeChallenge, PkceCodeVerifier};
use zeroize::Zeroizing;

/// Returns `N` bytes of the operating system's randomness.
fn random<const N: usize>() -> io::Result<Zeroizing<[u8; N]>> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut()).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes)
}

/// A proof key: the verifier stays here until the token request, the challenge goes ahead with the device request.
///
/// The method is S256 and nothing else; there is no way back to `plain` (RFC 7636, section 7.2). Debug shows neither
/// half of it.
#[derive(Debug)]
pub(super) struct Pkce(PkceCodeVerifier);

impl Pkce {
    /// Makes a proof key of 32 random bytes, which are 43 characters of unpadded base64url (RFC 7636, section 4.1).
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub(super) fn generate() -> io::Result<Self> {
        let bytes = random::<32>()?;
        Ok(Self(PkceCodeVerifier::new(
            URL_SAFE_NO_PAD.encode(bytes.as_slice()),
        )))
    }

    /// Returns the challenge by S256 (RFC 7636, section 4.2).
    pub(super) fn challenge(&self) -> String {
        PkceCodeChallenge::from_code_verifier_sha256(&self.0)
            .as_str()
            .to_owned()
    }

    /// Returns the verifier, which goes into token requests only.
    pub(super) fn verifier(&self) -> &String {
        self.0.secret()
    }
}

/// Returns a random UUID, version 4 (RFC 9562, section 5.4), in its usual lower-case form.
pub(super) fn request_id() -> io::Result<String> {
    let mut bytes = *random::<16>()?;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use oauth2::PkceCodeVerifier;

    use super::{Pkce, request_id};

    #[test]
    fn the_challenge_is_that_of_the_standard() {
        // RFC 7636, appendix B.
        let pkce = Pkce(PkceCodeVerifier::new(
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned(),
        ));
        assert_eq!(pkce.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn a_verifier_is_unreserved_long_and_new_every_time() {
        let (one, other) = (Pkce::generate().unwrap(), Pkce::generate().unwrap());
        assert_ne!(one.verifier(), other.verifier());
        assert_eq!(one.verifier().len(), 43);
        let unreserved = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        assert!(one.verifier().chars().all(unreserved));
        assert!(!format!("{one:?}").contains(one.verifier().as_str()));
    }

    #[test]
    fn a_request_id_is_a_random_uuid() {
        let id = request_id().unwrap();
        assert_ne!(id, request_id().unwrap());
        let groups: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12]);
        assert_eq!(&id[14..15], "4");
        assert!("89ab".contains(&id[19..20]));
        assert!(id.chars().all(|c| c == '-' || matches!(c, '0'..='9' | 'a'..='f')));
    }
}
