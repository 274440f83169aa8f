//! bash.

use clap::Command;

use super::{dispatch, is_dispatcher, live, takes_command};

const LIVE: &str = include_str!("live.bash");
const DISPATCH: &str = include_str!("dispatch.bash");
/// At an equals sign and at a colon bash ends a word: `--name=value` comes as three, and so does the name of many a
/// model. What stands before the last colon of a name is 'begun'.
const SPLIT: &str = "    local at=${COMP_CWORD} begun=\"\"
    if [[ ${COMP_WORDS[at]} == [:=] ]]; then
        cur=\"\"
    else
        at=$((at - 1))
    fi
    while ((at > 1)) && [[ ${COMP_WORDS[at]} == : ]]; do
        begun=\"${COMP_WORDS[at-1]}:${begun}\"
        at=$((at - 2))
    done
    if [[ ${COMP_WORDS[at]} == = ]]; then
        at=$((at - 1))
    fi
    prev=\"${COMP_WORDS[at]}\"
";
/// After `--` stands a command.
const COMMAND: &str = "    for ((at = 1; at < COMP_CWORD; at++)); do
        if [[ ${COMP_WORDS[at]} == -- ]]; then
            if ((at + 1 == COMP_CWORD)); then
                COMPREPLY=($(compgen -c -- \"${cur}\"))
            fi
            return 0
        fi
    done
";
/// Every option is offered where an operand is expected. An operand alone, or a file's name, is what a person wants.
const ALL: &str = "$(compgen -W \"${opts}\" -- \"${cur}\")";
const AMONG: &str = "$(__qwen_among \"${opts}\" \"${cur}\")";

pub(super) fn finish(raw: &str, command: &Command) -> String {
    let name = command.get_name();
    // clap_complete 4.6 spells a dash in the program's own name one way where it sets 'cmd' and another where it asks.
    let asked = format!("{}__subcmd__", name.replace('-', "__subcmd__"));
    let set = format!("{}__subcmd__", name.replace('-', "__"));
    let mut split = SPLIT.to_owned();
    if takes_command(command) {
        split.push_str(COMMAND);
    }
    let mut script = raw
        .replacen("    prev=\"$3\"\n", &split, 1)
        .replace(&asked, &set)
        .replace(ALL, AMONG);
    for function in live::FUNCTIONS {
        script = script.replace(function, &format!("$({function} \"${{begun}}\")"));
    }
    let mut whole = format!("{LIVE}\n{script}");
    if is_dispatcher(command) {
        whole.push_str(&dispatch(DISPATCH, command, " | "));
    }
    whole
}
