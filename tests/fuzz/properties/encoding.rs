//! Compressed bodies: the same bytes and the same end, however the body is cut, in pieces of a bounded size.
//!
//! The first byte of an input chooses the encoding; the rest is the body.

use super::decode::Decoder;

/// The most bytes of a piece.
const PIECE: usize = 16 << 10;

/// Undoes a body's encoding in one piece, byte by byte and in others, and checks that all come to the same.
pub(crate) fn holds(data: &[u8]) {
    let Some((first, body)) = data.split_first() else {
        return;
    };
    let encoding = ["gzip", "deflate"][usize::from(*first) % 2];
    let whole = decode(encoding, body, body.len());
    for length in [1, 2, 7, 64] {
        let decoded = decode(encoding, body, length);
        // What was given out before a fault depends on where the body was cut.
        match &whole {
            Ok(whole) => assert!(
                decoded.as_ref() == Ok(whole),
                "{encoding} in pieces of {length}: {decoded:?}"
            ),
            Err(_) => assert!(decoded.is_err(), "{encoding} in pieces of {length}"),
        }
    }
}

fn decode(encoding: &str, body: &[u8], length: usize) -> Result<Vec<u8>, String> {
    let mut decoder = Decoder::new(encoding).expect("an encoding that is known");
    let mut text = Vec::new();
    for bytes in body.chunks(length.max(1)) {
        decoder.push(bytes);
        while let Some(piece) = decoder.pull().map_err(|error| error.to_string())? {
            assert!(!piece.is_empty() && piece.len() <= PIECE);
            text.extend_from_slice(&piece);
        }
    }
    decoder.finish().map_err(|error| error.to_string())?;
    Ok(text)
}

#[cfg(test)]
#[test]
fn every_input_that_a_fuzzer_kept_is_decoded_the_same_however_it_is_cut() {
    crate::played::play("encoding", holds);
}
