//! Where words go. The whole policy, in one place:
//!
//! - **stdout** carries the result, byte for byte, and nothing else ([`Stdout`]). A closed pipe ends the process by
//!   SIGPIPE; any other failed write is exit 74. Results go to a terminal unchanged, except where a tool renders
//!   them for people and says so.
//! - **stderr** carries talk ([`Talk`]): `program: message`, `program: hint: …`. Everything printed there is stripped
//!   of control, escape and bidirectional characters, also when stderr is a file, because logs are read on terminals.
//! - **the terminal** (`/dev/tty`) carries questions and what is drawn for a person ([`Terminal`]), so a tool can ask
//!   inside a pipeline. Without a terminal nothing is asked.
//!
//! No other module writes to any of the three.

mod hidden;
#[cfg(feature = "net")]
mod modes;
#[cfg(feature = "net")]
mod progress;
mod stdout;
#[cfg(feature = "net")]
mod strip;
mod talk;
mod terminal;

#[cfg(feature = "net")]
pub use modes::keep_terminal_modes;
#[cfg(feature = "net")]
pub use progress::Progress;
pub use stdout::Stdout;
pub use talk::{Color, Talk};
pub use terminal::Terminal;
