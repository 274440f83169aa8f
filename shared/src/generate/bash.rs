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
/// Every option is offered where an operand is expected. An operand alone, or a file's name, is what a person wants.
const ALL: &str = "$(compgen -W \"${opts}\" -- \"${cur}\")";
const AMONG: &str = "$(__qwen_among \"${opts}\" \"${cur}\")";

pub(super) fn finish(raw: &str, command: &Command) -> String {
    let name = command.get_name();
    // clap_complete 4.6 spells a dash in the program's own name one way where it sets 'cmd' and another where it asks.
    let asked = format!("{}__subcmd__", name.replace('-', "__subcmd__"));
    let set = format!("{}__subcmd__", name.replace('-', "__"));
    let mut script = raw
        .replacen("    prev=\"$3\"\n", SPLIT, 1)
        .replace(&asked, &set)
        .replace(ALL, AMONG);
    for function in live::FUNCTIONS {
        script = script.replace(function, &format!("$({function})"));
    }
    let mut whole = format!("{LIVE}\n{script}");
    if is_dispatcher(command) {
        whole.push_str(&dispatch(DISPATCH, command, " | "));
    }
    whole
}
