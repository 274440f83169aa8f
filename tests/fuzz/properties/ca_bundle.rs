//! Files of CA certificates: the same certificates with a byte-order mark or other line ends, and each as long as it says.

use super::ca_bundle::written_otherwise;

const MARK: &str = "\u{feff}";

/// Reads an input as it is, and behind a byte-order mark.
pub(crate) fn holds(data: &[u8]) {
    let found = certificates(data);
    let Ok(text) = str::from_utf8(data) else {
        assert_eq!(found, None, "a file that is no text");
        return;
    };
    let marked = certificates(format!("{MARK}{text}").as_bytes()).expect("a file with a mark");
    if let Some(found) = found {
        assert_eq!(found, marked, "a second mark changes what is found");
    }
    for der in &marked {
        assert!(der.len() <= text.len(), "longer than the file");
        if let [_, short @ 0..=0x7f, ..] = **der {
            assert!(der.len() <= 2 + usize::from(short), "something stands behind it");
        }
    }
    if !text.contains('\r') {
        let lines = format!("{MARK}{}", text.replace('\n', "\r\n"));
        assert_eq!(
            certificates(lines.as_bytes()).as_ref(),
            Some(&marked),
            "other line ends"
        );
    }
}

fn certificates(file: &[u8]) -> Option<Vec<Vec<u8>>> {
    let found = written_otherwise(file)?;
    Some(found.iter().map(|certificate| certificate.to_vec()).collect())
}

#[cfg(test)]
#[test]
fn every_input_that_a_fuzzer_kept_has_the_same_certificates_however_it_is_written() {
    crate::played::play("ca_bundle", holds);
}
