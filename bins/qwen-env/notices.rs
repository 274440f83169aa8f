//! What is said on stderr while the work goes on.

use qwen_shared::env::{EnvChain, Verdict, key_name};
use qwen_shared::out::Talk;

use crate::plan::{Entry, Fate, Origin, Plan};

/// Why an excluded variable is left out.
pub(crate) const EXCLUSION: &str = "Qwen Code does not take it from a project's .env";

/// Says what the chain passed over and refused, each hint once; with `--verbose`, what else of it does not count.
pub(crate) fn of_chain(chain: &EnvChain, talk: &Talk) {
    let mut hints: Vec<&str> = Vec::new();
    for notice in chain.notices() {
        talk.notice(&notice.to_string());
        if let Some(hint) = notice.hint.as_deref().filter(|hint| !hints.contains(hint)) {
            hints.push(hint);
        }
    }
    for hint in hints {
        talk.hint(hint);
    }
    for assignment in chain.assignments().filter(|_| talk.is_verbose()) {
        let (place, name) = (assignment.variable.place(), &assignment.variable.name);
        match assignment.verdict {
            Verdict::Excluded => talk.detail(&format!("{place}: '{name}' is excluded: {EXCLUSION}")),
            Verdict::Overwritten(line) => {
                talk.detail(&format!("{place}: '{name}' is overwritten by line {line}"));
            }
            // Said above, or by the plan.
            _ => {}
        }
    }
}

/// Says which variables are not exported though the environment lacks them; with `--verbose`, what becomes of all.
pub(crate) fn of_plan(plan: &Plan<'_>, talk: &Talk) {
    for entry in &plan.entries {
        let (place, name) = (place(entry), entry.name);
        match (reason(entry), entry.fate) {
            (Some(reason), _) => talk.notice(&format!("{place}: '{name}' is not exported: {reason}")),
            (None, Fate::Kept) => talk.detail(&format!("{place}: '{name}' is kept from the environment")),
            (None, _) => talk.detail(&format!("{place}: '{name}' is exported")),
        }
    }
    for name in &plan.unset {
        talk.detail(&format!("'{name}' was exported earlier and is taken back"));
    }
    if plan.entries.iter().any(|entry| entry.fate == Fate::Withheld) {
        talk.hint("run 'qwen-env --trust' if this project may choose where keys are sent");
    }
}

fn place(entry: &Entry<'_>) -> String {
    match entry.origin {
        Origin::File(variable) => variable.place(),
        Origin::Token => "qwen-token".to_owned(),
    }
}

/// Why a variable is not exported, when the user ought to know.
pub(crate) fn reason(entry: &Entry<'_>) -> Option<String> {
    match entry.fate {
        Fate::Exported | Fate::Kept => None,
        Fate::Withheld => {
            let key = key_name(entry.name).unwrap_or_default();
            Some(format!(
                "an untrusted project file may set it only together with '{key}', and that is not the key in force"
            ))
        }
        Fate::Cannot(cannot) => Some(cannot.to_string()),
        Fate::Crowded => Some("the environment has no room for more".to_owned()),
    }
}
