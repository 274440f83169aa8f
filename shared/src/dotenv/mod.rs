//! The `.env` chain: which files, what they mean, who may set what.
//!
//! [`Search`] says where to look, [`EnvChain`] is what was found: every candidate file with its fate, every
//! assignment with its verdict. Nothing here looks at the variables that the process already has, but for those that
//! say where the files are; nothing is exported. The meaning of a file is npm `dotenv`'s to the byte.

mod assignment;
mod chain;
mod file;
mod lint;
mod parser;
mod policy;
mod record;
mod search;
pub mod trust;

pub use assignment::{Assignment, Reading, Standing, Variable, Verdict, assignments, dotenv_line};
pub use chain::{Candidate, EnvChain, EnvFile, Fate, Notice};
pub use file::{Content, FILE_LIMIT, Unusable, read};
pub use lint::{Surprise, malformed_lines};
pub use parser::{Scanner, Statement, decode};
pub use policy::{RECORD, Reach, key_name, may_pair, reach};
pub use record::Record;
pub use search::{ChainRule, EnvError, Search};
