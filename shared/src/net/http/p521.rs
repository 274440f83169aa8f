//! ECDSA on the curve P-521 (FIPS 186-5), which ring does not know and some companies' authorities sign with.

use std::sync::OnceLock;

use p521::ecdsa::signature::hazmat::PrehashVerifier;
use p521::ecdsa::{DerSignature, VerifyingKey};
use rustls::SignatureScheme;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};
use sha2::{Digest, Sha256, Sha384, Sha512};

/// The bytes of a number of the curve's field.
const FIELD: usize = 66;

/// The algorithm with one of the digests.
#[derive(Debug)]
struct P521 {
    identifier: AlgorithmIdentifier,
    digest: fn(&[u8]) -> Vec<u8>,
}

/// `openssl req` signs with SHA-256 unless it is told otherwise, whatever the curve.
const WITH_SHA256: P521 = P521 {
    identifier: alg_id::ECDSA_SHA256,
    digest: |message| Sha256::digest(message).to_vec(),
};
const WITH_SHA384: P521 = P521 {
    identifier: alg_id::ECDSA_SHA384,
    digest: |message| Sha384::digest(message).to_vec(),
};
const WITH_SHA512: P521 = P521 {
    identifier: alg_id::ECDSA_SHA512,
    digest: |message| Sha512::digest(message).to_vec(),
};

impl SignatureVerificationAlgorithm for P521 {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let key = VerifyingKey::from_sec1_bytes(public_key).map_err(|_| InvalidSignature)?;
        let signature = DerSignature::from_bytes(signature).map_err(|_| InvalidSignature)?;
        let digest = (self.digest)(message);
        // As long as a number of the field: one of less than half of that is refused.
        let mut number = [0; FIELD];
        number[FIELD - digest.len()..].copy_from_slice(&digest);
        key.verify_prehash(&number, &signature)
            .map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P521
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.identifier
    }
}

/// Returns ring's provider, with P-521 added to what signatures are checked by.
pub(super) fn provider() -> CryptoProvider {
    static ALGORITHMS: OnceLock<WebPkiSupportedAlgorithms> = OnceLock::new();
    let ring = rustls::crypto::ring::default_provider();
    let known = ring.signature_verification_algorithms;
    let algorithms = ALGORITHMS.get_or_init(|| {
        const OURS: [&dyn SignatureVerificationAlgorithm; 3] = [&WITH_SHA512, &WITH_SHA384, &WITH_SHA256];
        // Kept as long as the process, once.
        let all = Vec::leak([known.all, &OURS].concat());
        let scheme = (SignatureScheme::ECDSA_NISTP521_SHA512, &OURS[..1]);
        let mapping = Vec::leak([known.mapping, &[scheme]].concat());
        WebPkiSupportedAlgorithms { all, mapping }
    });
    CryptoProvider {
        signature_verification_algorithms: *algorithms,
        ..ring
    }
}
