//! Which shell is meant, which names and sizes it holds, and what odd surroundings do.

use std::collections::{BTreeMap, BTreeSet};

use qwen_shared::shell::is_shell_name;

use crate::support::shells::{Mode, OTHERS, POSIX, SPECIAL, UNKNOWN};
use crate::support::{Run, Sandbox, binary, hostile, peers};

/// Lets a shell evaluate what this call prints, then prints the environment of its children.
fn evaluate(
    mode: &Mode,
    sandbox: &Sandbox,
    idiom: &str,
    call: &str,
) -> Option<(BTreeMap<String, String>, Run)> {
    let program = mode.program()?;
    let last = if mode.dialect == "nu" {
        "^/usr/bin/env -0"
    } else {
        "/usr/bin/env -0"
    };
    let script = mode.script(idiom, call, last);
    let run = sandbox
        .command(program)
        .args(&mode.command[1..])
        .arg(script)
        .run();
    let text = run.text();
    let pairs = text.split('\0').filter_map(|line| line.split_once('='));
    let environment = pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Some((environment, run))
}

/// Every shell, however it is started, is known by its process.
#[test]
fn the_parent_process_says_which_shell_it_is() {
    let sandbox = Sandbox::new();
    let value = "it's *  [a] é\\";
    sandbox.write("work/.env", format!("A=\"{value}\"\n"));
    hostile::fill(&sandbox.work());
    for mode in POSIX.iter().chain(OTHERS) {
        for idiom in mode.idioms {
            let Some((environment, run)) = evaluate(mode, &sandbox, idiom, "qwen-env --all") else {
                continue;
            };
            assert_eq!(
                environment.get("A").map(String::as_str),
                Some(value),
                "{}: {run:#?}",
                mode.name
            );
            let explained = evaluate(mode, &sandbox, "@", "qwen-env --explain").unwrap().1;
            assert!(
                explained.text().contains(&format!("(shell '{}')", mode.dialect)),
                "{}: {explained:#?}",
                mode.name
            );
        }
    }
}

#[test]
fn a_login_shell_is_known_and_a_parent_that_is_no_shell_is_sh() {
    let sandbox = Sandbox::new();
    let told = |script: &str| {
        // A login shell makes itself another PATH.
        let script = script.replace("qwen-env", binary("qwen-env").to_str().unwrap());
        let run = sandbox
            .command("/bin/bash")
            .env("SHELL", "/bin/fish")
            .args(["-c", &script])
            .run()
            .exits(0);
        let text = run.text();
        let start = text.find("(shell '").unwrap() + "(shell '".len();
        text[start..].split('\'').next().unwrap().to_owned()
    };
    assert_eq!(told("exec -a -bash bash -c 'qwen-env --explain; true'"), "bash");
    assert_eq!(told("exec -a sh bash -c 'qwen-env --explain; true'"), "bash");
    assert_eq!(told("sh -c 'qwen-env --explain; true'"), "dash");
    assert_eq!(told("timeout 20 qwen-env --explain"), "sh");
    assert_eq!(told("qwen-env --explain --shell zsh"), "zsh");
    let direct = sandbox.tool("qwen-env").arg("--explain").run().exits(0);
    assert!(direct.text().contains("(shell 'sh')"), "{direct:#?}");
}

#[test]
fn a_name_that_a_shell_keeps_for_itself_is_refused_and_every_other_one_set() {
    // csh has room for a record of some 140 names.
    let special: Vec<&str> = SPECIAL.split_ascii_whitespace().collect();
    for mode in POSIX.iter().chain(OTHERS) {
        for names in special.chunks(80) {
            refuses_or_sets(mode, names);
        }
    }
}

/// What a shell prints of the names that it gives values to by itself, a line or a blank between them; all that zsh's modules
/// bring included.
fn listing(dialect: &str) -> Option<&'static str> {
    Some(match dialect {
        "bash" => "compgen -v",
        "zsh" => {
            "for m in curses datetime langinfo mapfile parameter pcre random sched system termcap terminfo watch zleparameter; \
             do zmodload zsh/$m 2>/dev/null; done; emulate zsh -c 'print -l ${(k)parameters}'"
        }
        "fish" => "set -n",
        "nu" => "$env | columns | to text",
        "elvish" | "xonsh" | "pwsh" => return None,
        _ => "set",
    })
}

/// The names by the shell's own word, so that none is missing here which a newer one has.
#[test]
fn every_name_that_a_shell_starts_with_is_refused_or_set() {
    for mode in POSIX.iter().chain(OTHERS) {
        let (Some(program), Some(script)) = (mode.program(), listing(mode.dialect)) else {
            continue;
        };
        let sandbox = Sandbox::new();
        let run = sandbox
            .command(program)
            .args(&mode.command[1..])
            .arg(script)
            .run();
        let text = run.text();
        let names: BTreeSet<&str> = text
            .lines()
            .filter_map(|line| line.split(['=', '\t', ' ']).next())
            // A locale of the sandbox's; `xyz` is none, as any shell would say.
            .filter(|name| is_shell_name(name) && !name.starts_with("LC_") && !name.starts_with("QWEN_"))
            .collect();
        assert!(names.len() > 5, "{}: {run:#?}", mode.name);
        let names: Vec<&str> = names.into_iter().collect();
        for names in names.chunks(80) {
            refuses_or_sets(mode, names);
        }
    }
}

fn refuses_or_sets(mode: &Mode, names: &[&str]) {
    let sandbox = Sandbox::new();
    let lines = names.iter().map(|name| format!("{name}=xyz\n"));
    sandbox.write("home/.env", lines.collect::<String>());
    let call = format!("qwen-env --override --shell {}", mode.dialect);
    let Some((environment, run)) = evaluate(mode, &sandbox, mode.idioms[0], &call) else {
        return;
    };
    // Twenty notices at most are given, so all that is refused is asked for.
    let flags = [
        "--override",
        "--explain",
        "--format",
        "json",
        "--shell",
        mode.dialect,
    ];
    let explained = sandbox.tool("qwen-env").args(flags).run().exits(0).text();
    let explained: serde_json::Value = serde_json::from_str(&explained).unwrap();
    let rows = explained["variables"].as_array().unwrap();
    for &name in names {
        let refused = rows
            .iter()
            .any(|row| row["name"] == name && row["reason"].as_str().unwrap().starts_with("the shell "));
        let set = environment.get(name).is_some_and(|value| value == "xyz");
        assert!(
            refused != set,
            "{}: {name}: refused: {refused}, set: {set}: {}",
            mode.name,
            run.stderr
        );
    }
    let own = run.stderr.lines().filter(|line| !line.starts_with("qwen-env: "));
    assert_eq!(own.collect::<Vec<_>>(), [""; 0], "{}", mode.name);
}

#[test]
fn a_variable_that_counts_at_once_does_not_bend_those_after_it() {
    for mode in POSIX.iter().chain(UNKNOWN).chain(OTHERS) {
        let sandbox = Sandbox::new();
        let value = "it * \u{e9}";
        sandbox.write("home/.env", format!("PATH=/nowhere\nLC_ALL=C\nA='{value}'\n"));
        let call = format!("qwen-env --override --shell {}", mode.dialect);
        let Some((environment, run)) = evaluate(mode, &sandbox, mode.idioms[0], &call) else {
            continue;
        };
        for (name, value) in [("PATH", "/nowhere"), ("LC_ALL", "C"), ("A", value)] {
            let found = environment.get(name).map(String::as_str);
            assert_eq!(found, Some(value), "{}: {run:#?}", mode.name);
        }
    }
}

#[test]
fn the_longest_value_survives_in_every_shell_that_holds_it() {
    for mode in POSIX.iter().chain(UNKNOWN).chain(OTHERS) {
        let sandbox = Sandbox::new();
        // Written for a shell that is not known, tens of thousands of such characters are too much for zsh.
        let hard = if mode.dialect == "sh" {
            1000
        } else {
            131_071 / 4 - 1
        };
        let value = "a*\\ ".repeat(hard) + &"x".repeat(131_068 - 4 * hard);
        sandbox.write("work/.env", format!("A='{value}.'\nB=after\n"));
        for idiom in mode.idioms {
            let call = format!("qwen-env --all --shell {}", mode.dialect);
            let Some((environment, run)) = evaluate(mode, &sandbox, idiom, &call) else {
                continue;
            };
            let held = environment
                .get("A")
                .is_some_and(|held| *held == format!("{value}."));
            let refused = run
                .stderr
                .contains("'A' is not exported: the shell cannot hold so long a value");
            assert_eq!(
                (held, refused),
                (mode.dialect != "csh", mode.dialect == "csh"),
                "{} {idiom}",
                mode.name
            );
            assert_eq!(environment["B"], "after", "{} {idiom}", mode.name);
        }
    }
}

/// An eval without quotes splits at any of these: what is set then is right, or nothing is and that is said.
#[test]
fn a_separator_that_splits_the_statements_sets_nothing_wrong_and_is_said() {
    let values = [
        "/usr/lib-x_y.z@h",
        "it's a+b%20=c",
        "hello",
        "a&b;c!d`e\"f$g",
        "1234567890",
    ];
    for mode in POSIX.iter().chain(UNKNOWN) {
        let sandbox = Sandbox::new();
        let lines = values.iter().enumerate().map(|(number, value)| {
            crate::support::quote::dotenv_line(&format!("V_{number}"), value).unwrap() + "\n"
        });
        sandbox.write("home/.env", lines.collect::<String>());
        let call = format!("qwen-env --shell {}", mode.dialect);
        for ifs in "/-_.@+%=!&;`$\"aehlnrstx0AO".chars() {
            let idiom = format!("IFS='{ifs}'; eval $(@); unset IFS");
            let Some((environment, run)) = evaluate(mode, &sandbox, &idiom, &call) else {
                continue;
            };
            let told = format!("{} with IFS {ifs:?}: {}", mode.name, run.stderr);
            for (number, value) in values.iter().enumerate() {
                let found = environment.get(&format!("V_{number}")).map(String::as_str);
                assert!(found.is_none() || found == Some(value), "{told}: {found:?}");
            }
            let is_set = environment.contains_key("V_0");
            // Where it is given statements of another shell, ksh93 takes '${ ' for a command of its own, and says nothing.
            if mode.name == "sh in ksh93" && ifs == '_' {
                continue;
            }
            assert!(is_set || !run.stderr.is_empty(), "{told}");
        }
    }
}

#[test]
fn aliases_and_functions_named_like_builtins_do_not_get_in_the_way() {
    for mode in POSIX
        .iter()
        .filter(|mode| mode.name == "bash" || mode.name == "dash")
    {
        let sandbox = Sandbox::new();
        sandbox.write("home/.env", "V='a b'\n");
        for trap in ["alias export='echo'; alias unset=echo; alias test=false; alias echo=:"] {
            let prelude = if mode.name == "bash" {
                "shopt -s expand_aliases;"
            } else {
                ""
            };
            let idiom = format!("{prelude}{trap}; eval $(@)");
            let call = format!("qwen-env --shell {}", mode.dialect);
            let Some((environment, run)) = evaluate(mode, &sandbox, &idiom, &call) else {
                continue;
            };
            assert_eq!(
                environment.get("V").map(String::as_str),
                Some("a b"),
                "{}",
                run.stderr
            );
        }
    }
}

#[test]
fn a_separator_that_people_use_does_not_split_the_statements() {
    let values = [
        "https://x.example:8080/v1?a=b,c&d=*",
        "a:b,c",
        " lead and trail ",
        "tab\tnew\nline",
        "a|b",
    ];
    for mode in POSIX.iter().chain(UNKNOWN) {
        let sandbox = Sandbox::new();
        hostile::fill(&sandbox.work());
        let lines = values
            .iter()
            .enumerate()
            .map(|(number, value)| format!("V{number}=\"{value}\"\n"));
        sandbox.write("home/.env", lines.collect::<String>());
        for ifs in ["", "\n", ":", ",", " ", "|", ":,", "\t", "*", "?", "[", "~"] {
            let call = format!("qwen-env --shell {}", mode.dialect);
            let idiom = format!("IFS='{ifs}'; eval $(@); unset IFS");
            let Some((environment, run)) = evaluate(mode, &sandbox, &idiom, &call) else {
                continue;
            };
            for (number, value) in values.iter().enumerate() {
                let found = environment.get(&format!("V{number}")).map(String::as_str);
                assert_eq!(found, Some(*value), "{} with IFS {ifs:?}: {run:#?}", mode.name);
            }
            assert!(
                !hostile::is_pwned(&sandbox.work()),
                "{} with IFS {ifs:?}",
                mode.name
            );
        }
    }
}

#[test]
fn a_read_only_variable_does_not_end_the_script_where_that_can_be_helped() {
    for mode in POSIX {
        let Some(program) = mode.program() else { continue };
        let sandbox = Sandbox::new();
        sandbox.write("work/.env", "A=1\nRO=2\nB=3\n");
        let script = "readonly RO=mine\neval $(qwen-env --all)\necho $A $RO $B";
        let run = sandbox
            .command(program)
            .args(&mode.command[1..])
            .arg(script)
            .run();
        let expected = match mode.name {
            // zsh drops what comes after, posh and bash's POSIX mode end the script, whatever is written.
            "zsh" | "zsh globsubst" | "zsh extended" => "1 mine\n",
            "posh" | "bash posix" | "zsh sh" => "",
            _ => "1 mine 3\n",
        };
        assert_eq!(run.text(), expected, "{}: {run:#?}", mode.name);
    }
}

#[test]
fn options_that_make_scripts_strict_or_talkative_change_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", "A=\"a * b  c\"\n");
    for shell in ["bash", "dash", "ksh93", "mksh", "zsh", "yash"] {
        if !peers::present(shell, peers::command(shell).is_some()) {
            continue;
        }
        for options in [
            "set -e",
            "set -u",
            "set -f",
            "set -o noclobber",
            "set -eu",
            "set -x",
            "set -v",
            "set -a",
        ] {
            let script = format!("{options}\neval $(qwen-env --all)\nprintf '%s\\n' \"$A\"");
            let run = sandbox
                .command(peers::command(shell).unwrap())
                .args(["-c", &script])
                .run();
            assert_eq!(
                (run.code(), run.text().as_str()),
                (0, "a * b  c\n"),
                "{shell} {options}: {run:#?}"
            );
        }
    }
}
