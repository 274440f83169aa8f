//! Random bytes of the operating system.

use std::io;

use zeroize::Zeroizing;

/// Returns `N` random bytes.
///
/// # Errors
/// The operating system gives none.
pub fn bytes<const N: usize>() -> io::Result<Zeroizing<[u8; N]>> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut()).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes)
}

/// Returns a random UUID, version 4 (RFC 9562, section 5.4), in lower case.
///
/// # Errors
/// As [`bytes()`].
pub fn uuid() -> io::Result<String> {
    let number = u128::from_be_bytes(*bytes::<16>()?) & !(0xf << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{number:032x}");
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}

#[cfg(test)]
mod tests {
    use super::uuid;

    #[test]
    fn a_uuid_is_random_and_says_so() {
        let id = uuid().unwrap();
        assert_ne!(id, uuid().unwrap());
        let groups: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12]);
        assert_eq!(&id[14..15], "4");
        assert!("89ab".contains(&id[19..20]));
        assert!(id.chars().all(|c| c == '-' || matches!(c, '0'..='9' | 'a'..='f')));
    }
}
