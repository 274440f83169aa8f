//! The headers that say where a body ends, counted as they come: hyper drops one of two that contradict each other.

/// Looks through the lines of one head.
#[derive(Debug, Default)]
pub(super) struct HeadScan {
    /// The beginning of the line, in lower case, as far as it matters.
    line: Vec<u8>,
    /// True behind the first line, which is no header.
    has_request_line: bool,
    is_over: bool,
    /// How many headers tell the end.
    ends: usize,
}

/// The longer of the two names, and its colon.
const LONGEST: usize = "transfer-encoding:".len();

impl HeadScan {
    pub(super) fn scan(&mut self, bytes: &[u8]) {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.is_over {
                return;
            }
            let text = line.strip_suffix(b"\n").unwrap_or(line);
            let room = LONGEST - self.line.len();
            let letters = text.iter().filter(|byte| **byte != b'\r').take(room);
            self.line.extend(letters.map(u8::to_ascii_lowercase));
            if text.len() < line.len() {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        if self.line.is_empty() {
            // Blank lines before a request are passed over.
            self.is_over = self.has_request_line;
        } else if std::mem::replace(&mut self.has_request_line, true) {
            let tells_end = [&b"content-length"[..], b"transfer-encoding"]
                .iter()
                .any(|name| self.line.starts_with(name));
            self.ends += usize::from(tells_end);
        }
        self.line.clear();
    }

    /// True where the end of the body is told more than once.
    pub(super) const fn is_ambiguous(&self) -> bool {
        self.ends > 1
    }
}

#[cfg(test)]
mod tests {
    use super::HeadScan;

    #[test]
    fn an_end_that_is_told_twice_is_seen_however_the_head_is_cut() {
        for (head, is_ambiguous) in [
            ("POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\n", false),
            (
                "POST / HTTP/1.1\r\nContent-Length: 1\r\nTRANSFER-ENCODING: chunked\r\n\r\n",
                true,
            ),
            (
                "\r\nPOST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n",
                true,
            ),
            (
                "POST / HTTP/1.1\ntransfer-encoding : x\ntransfer-encoding: y\n\n",
                true,
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nContent-Length: 1\r\n\r\n",
                false,
            ),
            ("content-length: 1 HTTP/1.1\r\nContent-Length: 1\r\n\r\n", false),
            (
                "POST / HTTP/1.1\r\nx: Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
                false,
            ),
        ] {
            for size in [1, 3, 1000] {
                let mut scan = HeadScan::default();
                head.as_bytes().chunks(size).for_each(|piece| scan.scan(piece));
                assert_eq!(scan.is_ambiguous(), is_ambiguous, "{size}: {head:?}");
            }
        }
    }
}
