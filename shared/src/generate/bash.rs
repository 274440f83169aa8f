//! bash.

use clap::Command;

use super::{dispatch, is_dispatcher, live};

const LIVE: &str = include_str!("live.bash");
const DISPATCH: &str = include_str!("dispatch.bash");
/// bash hands `--name=value` over as three words.
const SPLIT: &str = "    prev=\"$3\"
    if [[ ${COMP_WORDS[COMP_CWORD]} == = ]]; then
        cur=\"\"
    elif [[ ${prev} == = ]]; then
        prev=\"${COMP_WORDS[COMP_CWORD-2]}\"
    fi
";

pub(super) fn finish(raw: &str, command: &Command) -> String {
    let mut script = raw.replacen("    prev=\"$3\"\n", SPLIT, 1);
    for function in live::FUNCTIONS {
        script = script.replace(function, &format!("$({function})"));
    }
    let mut whole = format!("{LIVE}\n{script}");
    if is_dispatcher(command) {
        whole.push_str(&dispatch(DISPATCH, command, " | "));
    }
    whole
}
