//! The `.env` chain: which files there are, what they set, and what they may set.
//!
//! [`Search`] says where to look, [`EnvChain`] is what was found: every candidate file with its status, every assignment
//! with its decision. It does not depend on the variables that the process has already, but for those that say where
//! the files are, and exports nothing. The meaning of a file is npm `dotenv`'s to the byte.

mod allowlist;
mod carriers;
mod chain;
mod consent;
mod content;
pub mod marks;
mod parser;
mod place;
mod policy;
mod record;
mod search;
mod stamp;
pub mod trust;

pub use allowlist::AllowedName;
pub use carriers::carriers;
pub use chain::{
    Assignment, Candidate, CandidateStatus, Decision, Ended, EnvChain, EnvFile, Variable, command_about,
};
pub use consent::Consent;
pub use content::{Content, FILE_LIMIT, Unusable, read};
pub use marks::Mark;
pub use parser::{RawAssignment, Scanner, decode, is_space, unquote};
pub use policy::{RECORD, is_reserved, is_same_origin, key_name, may_pair, partners};
pub use record::{Exported, NO_KEY, Record, RecordKey};
pub use search::{ChainRule, EnvError, Search, SharedFiles};
pub use trust::{Answer, Trust, TrustFile, TrustStore};
