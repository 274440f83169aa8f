//! Bodies that a server compressed though it was asked not to: gzip (RFC 1952) and deflate (RFC 1950, or RFC 1951 alone).

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::error::HttpError;

/// The most bytes that are given out in one piece.
const PIECE: usize = 16 << 10;

/// The largest head of a gzip member: it may hold a file name and a comment.
const LARGEST_HEAD: usize = 64 << 10;

/// The first two bytes of a gzip member.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What stands for no compression: `identity`, and what servers write there that is none (a charset, a way of sending).
const PLAIN: [&str; 9] = [
    "identity",
    "none",
    "utf-8",
    "utf8",
    "binary",
    "7bit",
    "8bit",
    "chunked",
    "aws-chunked",
];

/// The flags of a gzip member's head (RFC 1952, section 2.3.1).
const HAS_CHECK: u8 = 0x02;
const HAS_EXTRA: u8 = 0x04;
const HAS_NAME: u8 = 0x08;
const HAS_COMMENT: u8 = 0x10;

/// Undoes the compression of one body, piece by piece: what came is given out at once, and no piece is larger than 16 KiB
/// however much a body grows.
pub(super) struct Decoder {
    coding: Coding,
    state: State,
    /// What came and was not decoded yet.
    input: Vec<u8>,
    crc: Crc,
}

/// What the head of an answer says that its body is.
#[derive(Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    /// One that is not known. Relays that undo a compression leave its name in the head: then it is plain all the same.
    Other(String),
}

impl Coding {
    /// What follows the compressed data.
    const fn after_data(&self) -> State {
        match self {
            Self::Gzip => State::Trailer,
            _ => State::End,
        }
    }
}

enum State {
    Head,
    Data(Box<Decompress>),
    Trailer,
    /// The server says that it compressed the body, and did not.
    Plain,
    /// The body is whole, unless another member follows.
    End,
    /// What follows the body, padding as a rule, is passed over.
    Padding,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder")
            .field("coding", &self.coding)
            .finish_non_exhaustive()
    }
}

impl Decoder {
    /// Makes the decoder for a value of `Content-Encoding`; `None` where nothing is to be undone. The same header twice, from
    /// a server and what stands before it, is one.
    pub(super) fn new(encoding: &str) -> Option<Self> {
        let codings = encoding
            .split(',')
            .map(|coding| coding.trim().to_ascii_lowercase())
            .filter(|coding| !coding.is_empty() && !PLAIN.contains(&coding.as_str()));
        let mut codings: Vec<String> = codings.collect();
        codings.dedup();
        let names: Vec<&str> = codings.iter().map(String::as_str).collect();
        let coding = match names[..] {
            [] => return None,
            ["gzip" | "x-gzip"] => Coding::Gzip,
            ["deflate"] => Coding::Deflate,
            _ => Coding::Other(encoding.chars().take(40).collect()),
        };
        Some(Self {
            coding,
            state: State::Head,
            input: Vec::new(),
            crc: Crc::new(),
        })
    }

    /// Makes the decoder for a body of which the head says nothing, by its first byte: no text begins with that of gzip.
    pub(super) fn by_first_byte(beginning: &[u8]) -> Option<Self> {
        match beginning.first() == GZIP.first() {
            true => Self::new("gzip"),
            false => None,
        }
    }

    /// Takes more of the body as it came.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// Returns the next piece of what was pushed; `None` when more is needed for it.
    ///
    /// # Errors
    /// The body is not compressed as the head of the answer said; [`HttpError::Encoded`] where that says what is not known.
    pub(super) fn pull(&mut self) -> Result<Option<Vec<u8>>, HttpError> {
        loop {
            if matches!(self.state, State::Head) && self.is_plain()? {
                self.state = State::Plain;
            }
            match &mut self.state {
                State::Plain => return Ok(self.take_plain()),
                State::Head => {
                    let Some((length, inflate)) = self.head()? else {
                        return Ok(None);
                    };
                    self.input.drain(..length);
                    self.state = State::Data(Box::new(inflate));
                }
                State::Data(inflate) => {
                    let (piece, is_last) = next_piece(inflate, &mut self.input)?;
                    if is_last {
                        self.state = self.coding.after_data();
                    }
                    if !piece.is_empty() {
                        self.crc.update(&piece);
                        return Ok(Some(piece));
                    }
                    if !is_last {
                        return Ok(None);
                    }
                }
                State::Trailer => {
                    if !self.take_trailer()? {
                        return Ok(None);
                    }
                }
                State::End => match self.after_end() {
                    Some(state) => self.state = state,
                    None => return Ok(None),
                },
                State::Padding => return Ok(self.drop_padding()),
            }
        }
    }

    /// Returns what follows the body: another member, as in a file of several (RFC 1952, section 2.2), or padding; `None`
    /// where that is open, since the first byte of a member's mark may have come without the second.
    fn after_end(&self) -> Option<State> {
        let mark = &self.input[..self.input.len().min(GZIP.len())];
        match self.coding == Coding::Gzip && GZIP.starts_with(mark) {
            true => (mark.len() == GZIP.len()).then_some(State::Head),
            false => Some(State::Padding),
        }
    }

    fn drop_padding(&mut self) -> Option<Vec<u8>> {
        self.input.clear();
        None
    }

    /// Checks, at the end of the body, that it was whole. A body without a byte is.
    ///
    /// # Errors
    /// [`HttpError::Cut`].
    pub(super) fn finish(&self) -> Result<(), HttpError> {
        match self.state {
            State::End | State::Padding | State::Plain => Ok(()),
            State::Head if self.input.is_empty() => Ok(()),
            _ => Err(match &self.coding {
                Coding::Other(encoding) => HttpError::Encoded(encoding.clone()),
                _ => HttpError::Cut("its compressed data ends early".to_owned()),
            }),
        }
    }

    /// True for a body that is not compressed though its head says so; false too while that is open.
    fn is_plain(&self) -> Result<bool, HttpError> {
        match &self.coding {
            Coding::Gzip => Ok(!GZIP.starts_with(&self.input[..self.input.len().min(2)])),
            Coding::Deflate => Ok(false),
            Coding::Other(encoding) => match is_text(&self.input) {
                Some(false) => Err(HttpError::Encoded(encoding.clone())),
                is_text => Ok(is_text == Some(true)),
            },
        }
    }

    /// Takes a piece of a body that is not compressed; `None` when there is none.
    fn take_plain(&mut self) -> Option<Vec<u8>> {
        let piece: Vec<u8> = self.input.drain(..self.input.len().min(PIECE)).collect();
        (!piece.is_empty()).then_some(piece)
    }

    /// Reads the head of the data; returns its length and the decoder of what follows, or `None` when more is needed.
    fn head(&self) -> Result<Option<(usize, Decompress)>, HttpError> {
        match self.coding {
            Coding::Gzip => {
                return match gzip_head(&self.input)? {
                    None if self.input.len() > LARGEST_HEAD => Err(corrupt()),
                    None => Ok(None),
                    Some(length) => Ok(Some((length, Decompress::new(false)))),
                };
            }
            Coding::Other(_) => return Ok(None),
            Coding::Deflate => {}
        }
        // What is called deflate is zlib's format by the standard, and the bare data from some servers.
        let Some(&[method, check]) = self.input.first_chunk::<2>() else {
            return Ok(None);
        };
        let is_zlib = method & 0x0f == 8 && u16::from_be_bytes([method, check]) % 31 == 0;
        Ok(Some((0, Decompress::new(is_zlib))))
    }

    /// Takes off the trailer of a gzip member (RFC 1952, section 2.3.1), which ends it; false when more is needed.
    ///
    /// # Errors
    /// The data is not what the trailer says.
    fn take_trailer(&mut self) -> Result<bool, HttpError> {
        let Some(&[a, b, c, d, e, f, g, h]) = self.input.first_chunk::<8>() else {
            return Ok(false);
        };
        let (sum, amount) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        if sum != self.crc.sum() || amount != self.crc.amount() {
            return Err(corrupt());
        }
        self.input.drain(..8);
        self.crc.reset();
        self.state = State::End;
        Ok(true)
    }
}

/// Decompresses the next piece of the input and takes off what it was made of; true for the last one.
///
/// The piece may be empty if it is the last, and is where more input is needed for one.
fn next_piece(inflate: &mut Decompress, input: &mut Vec<u8>) -> Result<(Vec<u8>, bool), HttpError> {
    let mut piece = Vec::with_capacity(PIECE);
    loop {
        let before = inflate.total_in();
        let status = inflate
            .decompress_vec(input, &mut piece, FlushDecompress::None)
            .map_err(|_| corrupt())?;
        let taken = usize::try_from(inflate.total_in() - before).unwrap_or(usize::MAX);
        input.drain(..taken.min(input.len()));
        let is_last = status == Status::StreamEnd;
        if is_last || taken == 0 || !piece.is_empty() {
            return Ok((piece, is_last));
        }
    }
}

/// Returns the length of the head of a gzip member; `None` when it is not all there.
fn gzip_head(input: &[u8]) -> Result<Option<usize>, HttpError> {
    if input.get(2).is_some_and(|&method| method != 8) {
        return Err(corrupt());
    }
    let Some(&flags) = input.get(3) else {
        return Ok(None);
    };
    let mut at = 10;
    if flags & HAS_EXTRA != 0 {
        let Some(&[low, high]) = input.get(at..).and_then(<[u8]>::first_chunk::<2>) else {
            return Ok(None);
        };
        at += 2 + usize::from(u16::from_le_bytes([low, high]));
    }
    for flag in [HAS_NAME, HAS_COMMENT] {
        if flags & flag != 0 {
            let rest = input.get(at..).unwrap_or_default();
            let Some(end) = rest.iter().position(|&byte| byte == 0) else {
                return Ok(None);
            };
            at += end + 1;
        }
    }
    if flags & HAS_CHECK != 0 {
        at += 2;
    }
    Ok((input.len() >= at).then_some(at))
}

/// True for the beginning of an event stream, of JSON or of a page, false for that of anything else; `None` while more is
/// needed to tell.
fn is_text(beginning: &[u8]) -> Option<bool> {
    const BEGINNINGS: [&str; 16] = [
        "data:", "event:", "id:", "retry:", ": ", ":\n", ":\r", "{\"", "{}", "{ ", "{\n", "{\r", "[{", "[ ",
        "[\n", "<",
    ];
    let text = beginning.strip_prefix(b"\xef\xbb\xbf").unwrap_or(beginning);
    let text = text.trim_ascii_start();
    let begins = |known: &&str| text.starts_with(known.as_bytes());
    match BEGINNINGS.iter().any(begins) {
        true => Some(true),
        false if BEGINNINGS.iter().any(|known| known.as_bytes().starts_with(text)) => None,
        false => Some(false),
    }
}

fn corrupt() -> HttpError {
    HttpError::Malformed("its compressed data is broken".to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::{Decoder, PIECE};

    const TEXT: &[u8] = b"data: {\"choices\":[]}\n\ndata: [DONE]\n\n";

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn forms() -> Vec<(&'static str, Vec<u8>)> {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(TEXT).unwrap();
        let mut bare = DeflateEncoder::new(Vec::new(), Compression::default());
        bare.write_all(TEXT).unwrap();
        let named = flate2::GzBuilder::new().filename("a").comment("b").extra(*b"xy");
        let mut named = named.write(Vec::new(), Compression::best());
        named.write_all(TEXT).unwrap();
        vec![
            ("gzip", gzip(TEXT)),
            ("X-GZIP", named.finish().unwrap()),
            ("identity, gzip", [gzip(&TEXT[..7]), gzip(&TEXT[7..])].concat()),
            ("gzip", [gzip(TEXT), vec![0; 20]].concat()),
            // What begins as a member does after padding is none.
            ("gzip", [gzip(TEXT), b"\0\0\x1f\x8bend".to_vec()].concat()),
            ("gzip", [gzip(TEXT), b"\x1f".to_vec()].concat()),
            ("deflate", zlib.finish().unwrap()),
            ("deflate", bare.finish().unwrap()),
        ]
    }

    fn decode(encoding: &str, body: &[u8], step: usize) -> Result<Vec<u8>, String> {
        let mut decoder = Decoder::new(encoding).unwrap();
        let mut text = Vec::new();
        for bytes in body.chunks(step) {
            decoder.push(bytes);
            while let Some(piece) = decoder.pull().map_err(|error| error.to_string())? {
                assert!(!piece.is_empty() && piece.len() <= PIECE);
                text.extend_from_slice(&piece);
            }
        }
        decoder.finish().map_err(|error| error.to_string())?;
        Ok(text)
    }

    #[test]
    fn every_form_is_undone_wherever_it_is_cut_into_pieces() {
        for (encoding, body) in forms() {
            for step in 1..=body.len() {
                assert_eq!(decode(encoding, &body, step).unwrap(), TEXT, "{encoding} {step}");
            }
        }
    }

    #[test]
    fn a_body_that_ends_early_or_is_broken_is_never_whole() {
        let body = gzip(TEXT);
        for end in 1..body.len() {
            assert!(decode("gzip", &body[..end], 5).is_err(), "{end}");
        }
        for at in [2, body.len() - 1, body.len() - 8] {
            let mut broken = body.clone();
            broken[at] ^= 0x55;
            assert!(decode("gzip", &broken, 5).is_err(), "{at}");
        }
        assert!(decode("deflate", b"\xff\xff\xff", 3).is_err());
        assert_eq!(decode("gzip", b"", 1).unwrap(), b"");
    }

    #[test]
    fn a_body_that_is_said_to_be_gzip_and_is_not_passes_as_it_came() {
        for step in [1, 2, 7, 100] {
            assert_eq!(decode("gzip", TEXT, step).unwrap(), TEXT);
        }
    }

    #[test]
    fn what_was_flushed_is_given_out_before_more_comes() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        let mut decoder = Decoder::new("gzip").unwrap();
        for word in ["one", "two", "three"] {
            encoder.write_all(word.as_bytes()).unwrap();
            encoder.flush().unwrap();
            decoder.push(&std::mem::take(encoder.get_mut()));
            assert_eq!(decoder.pull().unwrap().unwrap(), word.as_bytes());
            assert_eq!(decoder.pull().unwrap(), None);
        }
    }

    #[test]
    fn a_body_that_grows_a_thousandfold_comes_in_small_pieces() {
        let body = gzip(&vec![b'a'; 8 << 20]);
        assert_eq!(decode("gzip", &body, body.len()).unwrap().len(), 8 << 20);
    }

    #[test]
    fn other_encodings_are_named_unless_the_body_is_plain() {
        for encoding in ["br", "zstd", "gzip, br", "deflate, gzip"] {
            let named = format!("the answer is encoded as '{encoding}', which was not asked for");
            for body in [&b"\x1b\x03\0\xf8"[..], b"\x28\xb5\x2f\xfd", b"d"] {
                assert_eq!(decode(encoding, body, 1), Err(named.clone()));
            }
            for body in [TEXT, b": hello\n\n", b"\n {\"a\":1}", b"<html>"] {
                for step in [1, 3, 100] {
                    assert_eq!(decode(encoding, body, step).unwrap(), body, "{encoding} {step}");
                }
            }
        }
        assert_eq!(decode("gzip, gzip", &gzip(TEXT), 7).unwrap(), TEXT);
        for encoding in ["", "identity", " Identity , "] {
            assert!(Decoder::new(encoding).is_none(), "{encoding:?}");
        }
    }
}
