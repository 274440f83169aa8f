//! Names that a shell keeps for itself: setting them fails, or changes something else.

use super::Shell;

pub(super) fn is(_shell: Shell, _name: &str) -> bool {
    false
}
