//! Keys, one at a time, and what else a question has to notice while it waits for them.

use std::fs::File;
use std::io::{self, Read};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::watch::{Watch, Woken};
use super::{Modes, NO_PASTE_MARKS, Terminal, gone};
use crate::exit::Failure;
use crate::signal;

/// How long the rest of a key may take to come: an arrow is sent as three bytes, which a loaded machine or a network may bring
/// in two pieces.
const REST_OF_KEY: Duration = Duration::from_millis(100);

/// The longest control sequence that is read as one, in bytes.
const LONGEST_SEQUENCE: usize = 32;

/// A key, by what it does to a line or a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A character that is no control; U+FFFD for a byte that is not UTF-8.
    Char(char),
    /// Enter.
    Enter,
    /// Escape, pressed alone.
    Escape,
    /// Backspace, also Ctrl-H.
    Backspace,
    /// Delete.
    Delete,
    /// Up, also Ctrl-P.
    Up,
    /// Down, also Ctrl-N.
    Down,
    /// Left, also Ctrl-B.
    Left,
    /// Right, also Ctrl-F.
    Right,
    /// Home, also Ctrl-A.
    Home,
    /// End, also Ctrl-E.
    End,
    /// Page Up.
    PageUp,
    /// Page Down.
    PageDown,
    /// Ctrl-W.
    EraseWord,
    /// Ctrl-U.
    EraseLine,
    /// Ctrl-K.
    EraseRest,
    /// Ctrl-D, the end of what is typed.
    EndOfInput,
    /// A key that has no meaning here.
    Other,
}

/// What happened while a key was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A key was pressed.
    Key(Key),
    /// The terminal has another size.
    Resized,
    /// A signal came that ends or stops the program: pass it to [`Keys::act_on`].
    Signal(i32),
}

/// Reads keys; until it is dropped nothing that is typed is echoed.
///
/// A signal that nobody passed to [`Keys::act_on`] acts when this is dropped, after the modes are restored.
#[derive(Debug)]
pub struct Keys {
    // In this order: a signal that was not taken finds the terminal restored.
    modes: Option<Modes<File>>,
    watch: Watch,
    input: Input<File>,
}

impl Terminal {
    /// Takes echo and line mode away, to read keys. The size of the terminal is followed: what is drawn for a question is to
    /// be drawn anew at [`Event::Resized`].
    ///
    /// # Errors
    /// Exit 74 when the terminal has gone.
    pub fn keys(&mut self) -> Result<Keys, Failure> {
        // A line editor may have asked for the marks around pasted text.
        self.print(NO_PASTE_MARKS)?;
        Keys::of(&self.writer).map_err(|error| gone(&error))
    }
}

impl Keys {
    fn of(tty: &File) -> io::Result<Self> {
        // The signals first: none is to find the terminal without its modes.
        let watch = Watch::start()?;
        Ok(Self {
            modes: Some(Modes::hide_input(tty.try_clone()?)?),
            watch,
            input: Input::new(tty.try_clone()?),
        })
    }

    /// Waits for the next key, or for what else happens.
    ///
    /// # Errors
    /// Exit 74 when the terminal has gone.
    pub fn read(&mut self) -> Result<Event, Failure> {
        self.wait().map_err(|error| gone(&error))
    }

    /// True while something is typed that was not read yet: what is drawn now would be drawn over at once.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.input.is_readable(Duration::ZERO)
    }

    /// Does what a signal does by default, with the terminal as it was before. Returns where that was a stop (Ctrl-Z) and the
    /// program goes on.
    ///
    /// # Errors
    /// Exit 74 when the terminal has gone.
    pub fn act_on(&mut self, number: i32) -> Result<(), Failure> {
        let tty = self.input.source.try_clone().map_err(|error| gone(&error))?;
        self.modes = None;
        signal::default_action(number)
            .and_then(|()| Modes::hide_input(tty))
            .map(|modes| self.modes = Some(modes))
            .map_err(|error| gone(&error))
    }

    fn wait(&mut self) -> io::Result<Event> {
        if self.input.ahead.is_some() {
            return self.input.key().map(Event::Key);
        }
        Ok(match self.watch.wait(&self.input.source)? {
            Woken::Typed => Event::Key(self.input.key()?),
            Woken::Resized => Event::Resized,
            Woken::Signal(number) => Event::Signal(number),
        })
    }
}

/// What is typed, in bytes. Nothing is read before it is asked for, but for a byte that turned out to begin the next key.
#[derive(Debug)]
struct Input<Source> {
    source: Source,
    ahead: Option<u8>,
}

impl<Source: Read + std::os::fd::AsFd> Input<Source> {
    const fn new(source: Source) -> Self {
        Self { source, ahead: None }
    }

    fn is_readable(&self, limit: Duration) -> bool {
        let limit = Timespec::try_from(limit).ok();
        loop {
            match poll(&mut [PollFd::new(&self.source, PollFlags::IN)], limit.as_ref()) {
                Ok(ready) => return ready > 0,
                Err(Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }

    fn byte(&mut self) -> io::Result<u8> {
        if let Some(byte) = self.ahead.take() {
            return Ok(byte);
        }
        let mut byte = [0];
        self.source.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    /// Returns the next byte of a key; `None` where nothing follows.
    fn rest(&mut self) -> io::Result<Option<u8>> {
        match self.ahead.is_some() || self.is_readable(REST_OF_KEY) {
            true => self.byte().map(Some),
            false => Ok(None),
        }
    }

    fn key(&mut self) -> io::Result<Key> {
        Ok(match self.byte()? {
            b'\r' | b'\n' => Key::Enter,
            0x1b => self.escape()?,
            0x7f | 0x08 => Key::Backspace,
            0x01 => Key::Home,
            0x02 => Key::Left,
            0x04 => Key::EndOfInput,
            0x05 => Key::End,
            0x06 => Key::Right,
            0x0b => Key::EraseRest,
            0x0e => Key::Down,
            0x10 => Key::Up,
            0x15 => Key::EraseLine,
            0x17 => Key::EraseWord,
            first => match self.character(first)? {
                c if c.is_control() => Key::Other,
                c => Key::Char(c),
            },
        })
    }

    /// Reads the rest of a character (RFC 3629).
    fn character(&mut self, first: u8) -> io::Result<char> {
        let length = match first {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        let mut bytes = vec![first];
        while bytes.len() < length {
            match self.rest()? {
                Some(byte @ 0x80..=0xbf) => bytes.push(byte),
                other => {
                    self.ahead = other;
                    break;
                }
            }
        }
        let character = str::from_utf8(&bytes).ok().and_then(|text| text.chars().next());
        Ok(character.unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    /// Reads what follows an escape: a control sequence (ECMA-48, section 5.4), `O` and a letter, or one character, as of a key
    /// that was pressed together with Alt.
    fn escape(&mut self) -> io::Result<Key> {
        Ok(match self.rest()? {
            None => Key::Escape,
            Some(0x1b) => {
                self.ahead = Some(0x1b);
                Key::Escape
            }
            Some(b'[') => self.sequence()?,
            Some(b'O') => self.rest()?.map_or(Key::Other, |letter| named_by(letter, &[])),
            Some(_) => Key::Other,
        })
    }

    fn sequence(&mut self) -> io::Result<Key> {
        let mut parameters = Vec::new();
        while let Some(byte) = self.rest()? {
            match byte {
                b'@'..=b'~' => return Ok(named_by(byte, &parameters)),
                _ if parameters.len() < LONGEST_SEQUENCE => parameters.push(byte),
                _ => break,
            }
        }
        Ok(Key::Other)
    }
}

/// Returns the key that a sequence's final byte and its first parameter stand for, in xterm and what is like it.
fn named_by(last: u8, parameters: &[u8]) -> Key {
    let number = parameters.split(|&byte| byte == b';').next().unwrap_or_default();
    match (last, number) {
        (b'A', _) => Key::Up,
        (b'B', _) => Key::Down,
        (b'C', _) => Key::Right,
        (b'D', _) => Key::Left,
        (b'H', _) | (b'~', b"1" | b"7") => Key::Home,
        (b'F', _) | (b'~', b"4" | b"8") => Key::End,
        (b'M', b"") => Key::Enter,
        (b'~', b"3") => Key::Delete,
        (b'~', b"5") => Key::PageUp,
        (b'~', b"6") => Key::PageDown,
        _ => Key::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{self, Write};
    use std::os::fd::OwnedFd;

    use super::{Input, Key};

    fn keys_of(bytes: &[u8]) -> Vec<Key> {
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(bytes).unwrap();
        drop(writer);
        let mut input = Input::new(File::from(OwnedFd::from(reader)));
        let mut keys = Vec::new();
        while let Ok(key) = input.key() {
            keys.push(key);
        }
        keys
    }

    #[test]
    fn bytes_are_read_as_the_keys_that_sent_them() {
        use Key::{Backspace, Char, Delete, Down, End, Enter, Home, Left, Other, Right, Up};
        for (bytes, keys) in [
            (&b"a\r"[..], &[Char('a'), Enter][..]),
            ("漢é".as_bytes(), &[Char('漢'), Char('é')]),
            (b"\x1b[A\x1b[B\x1bOC\x1bOD", &[Up, Down, Right, Left]),
            (b"\x1b[1~\x1b[4~\x1b[3~\x7f", &[Home, End, Delete, Backspace]),
            (b"\x1b[1;5Dx", &[Left, Char('x')]),
            // The marks around pasted text.
            (b"\x1b[200~k\x1b[201~", &[Other, Char('k'), Other]),
            // Alt and a letter.
            (b"\x1bfz", &[Other, Char('z')]),
            // Latin 1, and a character that was cut.
            (
                b"\xe9a\xff\xe6\xbcb",
                &[
                    Char('\u{fffd}'),
                    Char('a'),
                    Char('\u{fffd}'),
                    Char('\u{fffd}'),
                    Char('b'),
                ],
            ),
            (b"\x00\x07\xc2\x85", &[Other, Other, Other]),
        ] {
            assert_eq!(keys_of(bytes), keys, "{bytes:?}");
        }
    }

    #[test]
    fn escape_is_a_key_where_nothing_follows() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut input = Input::new(File::from(OwnedFd::from(reader)));
        for (bytes, key) in [
            (&b"\x1b"[..], Key::Escape),
            (b"\x1b[", Key::Other),
            (b"a", Key::Char('a')),
        ] {
            writer.write_all(bytes).unwrap();
            assert_eq!(input.key().unwrap(), key);
        }
        writer.write_all(b"\x1b\x1b[A").unwrap();
        assert_eq!(
            (input.key().unwrap(), input.key().unwrap()),
            (Key::Escape, Key::Up)
        );
    }
}
