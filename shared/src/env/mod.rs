//! The `.env` chain: which files, what they mean, who may set what.
//!
//! [`Search`] says where to look, [`EnvChain`] is what was found: every candidate file with its fate, every
//! assignment with its verdict. Nothing here looks at the variables that the process already has, but for those that
//! say where the files are; nothing is exported. The meaning of a file is npm `dotenv`'s to the byte.

mod chain;
pub mod dialect;
mod error;
mod file;
mod names;
mod notice;
mod policy;
mod reading;
mod record;
mod scan;
mod search;
mod settings;
mod surprise;
pub mod trust;
mod value;
mod variable;
mod words;
mod write;

pub use chain::{Candidate, EnvChain, EnvFile, Fate};
pub use error::EnvError;
pub use file::{Content, FILE_LIMIT, Unusable, read};
pub use names::Reach;
pub use notice::Notice;
pub use policy::{RECORD, key_name, may_pair, reach};
pub use reading::{Reading, assignments};
pub use record::Record;
pub use scan::{Scanner, Statement, decode};
pub use search::{ChainRule, Search};
pub use surprise::{Surprise, malformed_lines};
pub use variable::{Assignment, Standing, Variable, Verdict};
pub use write::dotenv_line;
