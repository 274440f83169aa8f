//! Proof Key for Code Exchange (RFC 7636).

use std::io;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use qwen_shared::net::random;
use qwen_shared::secret::Secret;
use sha2::{Digest, Sha256};

/// A code verifier. Its challenge method is S256 only: there is no fallback to `plain` (RFC 7636, section 7.2).
#[derive(Debug)]
pub(crate) struct CodeVerifier(Secret<String>);

impl CodeVerifier {
    /// Makes a verifier of 32 random bytes in base64url, which is 43 characters (RFC 7636, section 4.1).
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub(crate) fn generate() -> io::Result<Self> {
        let bytes = random::bytes::<32>()?;
        Ok(Self(Secret::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()))))
    }

    /// Returns the verifier, which only the token request carries.
    pub(crate) fn expose(&self) -> &str {
        self.0.expose()
    }

    /// Returns the S256 challenge, which the device authorization request carries (RFC 7636, section 4.2).
    pub(crate) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.expose()))
    }
}

#[cfg(test)]
mod tests {
    use qwen_shared::secret::Secret;

    use super::CodeVerifier;

    #[test]
    fn the_challenge_is_that_of_the_standard() {
        // RFC 7636, appendix B.
        let verifier = CodeVerifier(Secret::new(
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned(),
        ));
        assert_eq!(
            verifier.challenge(),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn a_verifier_is_unreserved_long_and_new_every_time() {
        let (one, other) = (
            CodeVerifier::generate().unwrap(),
            CodeVerifier::generate().unwrap(),
        );
        assert_ne!(one.expose(), other.expose());
        assert_eq!(one.expose().len(), 43);
        let unreserved = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        assert!(one.expose().chars().all(unreserved));
        assert!(!format!("{one:?}").contains(one.expose()));
    }
}
