//! What a project's file may not do: set what programs obey, send keys elsewhere, come from a stranger. And how trust
//! lifts that, for a path and its content.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use crate::support::{Run, Sandbox, peers};

const DANGEROUS: [&str; 46] = [
    "PATH",
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "DYLD_INSERT_LIBRARIES",
    "BASH_ENV",
    "ENV",
    "ZDOTDIR",
    "PROMPT_COMMAND",
    "PS4",
    "IFS",
    "GIT_SSH_COMMAND",
    "GIT_DIR",
    "SSL_CERT_FILE",
    "NODE_TLS_REJECT_UNAUTHORIZED",
    "NODE_OPTIONS",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PERL5OPT",
    "RUBYOPT",
    "JAVA_TOOL_OPTIONS",
    "HTTPS_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "NO_PROXY",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "LESSOPEN",
    "BROWSER",
    "SSH_ASKPASS",
    "HOME",
    "TMPDIR",
    "XDG_CONFIG_HOME",
    "npm_config_script_shell",
    "npm-config-prefix",
    "CARGO_HOME",
    "RUSTC_WRAPPER",
    "QWEN_HOME",
    "QWEN_CONFIG",
    "QWEN_CREDENTIAL_STORE",
    "QWEN_CODE_SYSTEM_SETTINGS_PATH",
    "QWEN_SERVE_NEW_FILE_MODE",
    "QWEN_UPDATE_BASE_URL",
    "SANDBOX",
    "NODE_GYP_FORCE_PYTHON",
    "IPYTHONDIR",
];

/// The variables that a command run in the sandbox's work directory gets, as a JSON object.
fn added(sandbox: &Sandbox, arguments: &[&str]) -> serde_json::Value {
    let tool = sandbox
        .tool("qwen-env")
        .args(["-q", "--override", "--format", "json"]);
    serde_json::from_str(&tool.args(arguments).run().exits(0).text()).unwrap()
}

fn trust(sandbox: &Sandbox) -> Run {
    sandbox.tool("qwen-env").arg("--trust").run().exits(0)
}

fn dangerous_file() -> String {
    let lines = DANGEROUS.iter().map(|name| format!("{name}=evil\n"));
    lines.chain(["OPENAI_MODEL=fine\n".to_owned()]).collect()
}

#[test]
fn a_projects_file_sets_nothing_that_programs_obey_until_it_is_trusted() {
    for path in ["work/.env", "work/.qwen/.env"] {
        let sandbox = Sandbox::new();
        let file = sandbox.write(path, dangerous_file());
        assert_eq!(
            added(&sandbox, &[]),
            serde_json::json!({ "OPENAI_MODEL": "fine" }),
            "{path}"
        );
        let told = sandbox.tool("qwen-env").run().exits(0).stderr;
        for (place, name) in DANGEROUS.iter().enumerate() {
            let line = format!("qwen-env: {}:{}: refused '{name}'", file.display(), place + 1);
            assert!(told.contains(&line), "no {line:?} in {told}");
        }
        assert_eq!(told.matches("hint: run 'qwen-env --trust'").count(), 1, "{told}");
        let said = trust(&sandbox).stderr;
        assert!(
            said.contains("trusted with its present content") && said.contains("LD_PRELOAD"),
            "{said}"
        );
        let all = added(&sandbox, &[]);
        for name in DANGEROUS {
            assert_eq!(all[name], "evil", "{name}");
        }
        fs::write(&file, dangerous_file() + "X=1\n").unwrap();
        assert_eq!(
            added(&sandbox, &[]),
            serde_json::json!({ "OPENAI_MODEL": "fine", "X": "1" })
        );
    }
}

#[test]
fn the_shell_itself_is_untouched_by_a_hostile_project() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "work/.env",
        "PATH=/evil\nLD_PRELOAD=/evil.so\nBASH_ENV=evil\nPROMPT_COMMAND=evil\nGIT_SSH_COMMAND=evil\nSSL_CERT_FILE=evil\n\
         QWEN_ENV_EXPORTED=HOME@0000000000000000\n",
    );
    let script = "before=$(env | grep -v ^_=); eval $(qwen-env -q --override); after=$(env | grep -v ^_=); \
                  test \"$before\" = \"$after\" && echo same";
    let run = sandbox.command("/bin/bash").args(["-c", script]).run();
    run.gives(0, "same\n", "");
}

#[test]
fn home_files_may_set_what_they_like() {
    let sandbox = Sandbox::new();
    for path in ["home/.env", "home/.qwen/.env"] {
        sandbox.write(path, "PATH=/mine\nOPENAI_BASE_URL=https://mine.example\n");
        let all = added(&sandbox, &[]);
        assert_eq!(
            (all["PATH"].as_str(), all.as_object().unwrap().len()),
            (Some("/mine"), 2),
            "{path}"
        );
    }
    // The same from below home, and where home has another name.
    fs::create_dir(sandbox.home().join("below")).unwrap();
    symlink(sandbox.home(), sandbox.root().join("alias")).unwrap();
    for home in ["home", "alias", "home/"] {
        let tool = sandbox
            .tool("qwen-env")
            .args(["-q", "--override", "--format", "null"]);
        let tool = tool.env("HOME", format!("{}/{home}", sandbox.root().display()));
        let run = tool.current_dir(sandbox.home().join("below")).run().exits(0);
        assert!(run.text().contains("PATH=/mine\0"), "{home}: {run:#?}");
    }
}

#[test]
fn no_file_may_set_the_record_of_exports() {
    let sandbox = Sandbox::new();
    sandbox.write("home/.env", "QWEN_ENV_EXPORTED=HOME@0123456789abcdef\nA=1\n");
    let run = sandbox.tool("qwen-env").args(["--format", "null"]).run().exits(0);
    assert_eq!(run.text(), "A=1\0");
    assert!(
        run.stderr
            .contains("refused 'QWEN_ENV_EXPORTED': no file may set it"),
        "{run:#?}"
    );
}

#[test]
fn trust_is_for_one_path_and_is_taken_back() {
    let sandbox = Sandbox::new();
    let content = "LD_PRELOAD=x\n";
    sandbox.write("work/.env", content);
    sandbox.write("work/other/.env", content);
    trust(&sandbox);
    assert_eq!(added(&sandbox, &[])["LD_PRELOAD"], "x");
    assert_eq!(added(&sandbox, &["-C", "other"]), serde_json::json!({}));
    let store = sandbox.home().join(".local/state/qwen/trust.json");
    assert_eq!(
        (sandbox.mode(&store), sandbox.mode(store.parent().unwrap())),
        (0o600, 0o700)
    );
    let told = sandbox.tool("qwen-env").arg("--untrust").run().exits(0).stderr;
    assert!(told.contains("no longer trusted"), "{told}");
    assert_eq!(added(&sandbox, &[]), serde_json::json!({}));
    let told = sandbox.tool("qwen-env").arg("--untrust").run().exits(0).stderr;
    assert!(told.contains("was not trusted"), "{told}");
}

#[test]
fn a_file_can_be_trusted_by_name_and_forgotten_when_it_is_gone() {
    let sandbox = Sandbox::new();
    let file = sandbox.write("work/sub/.env", "LD_PRELOAD=x\n");
    symlink(sandbox.work(), sandbox.root().join("link")).unwrap();
    sandbox
        .tool("qwen-env")
        .args(["--trust", "../link/sub/.env"])
        .run()
        .exits(0);
    assert_eq!(added(&sandbox, &["-C", "sub"])["LD_PRELOAD"], "x");
    fs::remove_file(&file).unwrap();
    let told = sandbox
        .tool("qwen-env")
        .args(["--untrust", "sub/.env"])
        .run()
        .exits(0)
        .stderr;
    assert!(told.contains("no longer trusted"), "{told}");
}

#[test]
fn there_must_be_a_project_file_to_trust() {
    let sandbox = Sandbox::new();
    sandbox.write("home/.env", "A=1\n");
    let run = sandbox.tool("qwen-env").arg("--trust").run();
    run.fails(66, &["there is no project's .env file here"]);
    sandbox
        .tool("qwen-env")
        .args(["--trust", "nope"])
        .run()
        .fails(66, &["nope: no such file"]);
}

#[test]
fn a_damaged_trust_store_trusts_nothing_and_is_not_overwritten() {
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", "LD_PRELOAD=x\nA=1\n");
    let store = sandbox.write("home/.local/state/qwen/trust.json", "{broken");
    let run = sandbox.tool("qwen-env").args(["--format", "null"]).run().exits(0);
    assert_eq!(run.text(), "A=1\0");
    assert!(run.stderr.contains("no project file is trusted"), "{run:#?}");
    sandbox
        .tool("qwen-env")
        .arg("--trust")
        .run()
        .fails(74, &["trust.json: cannot use the trust store"]);
    assert_eq!(fs::read_to_string(store).unwrap(), "{broken");
}

#[test]
fn many_files_trusted_at_once_are_all_trusted() {
    let sandbox = Sandbox::new();
    let children: Vec<_> = (0..24)
        .map(|number| {
            let file = sandbox.write(format!("work/p{number}/.env"), "LD_PRELOAD=x\n");
            sandbox.tool("qwen-env").arg("--trust").arg(file).start()
        })
        .collect();
    for child in children {
        Run::wait(child, "qwen-env --trust").exits(0);
    }
    for number in 0..24 {
        assert_eq!(added(&sandbox, &["-C", &format!("p{number}")])["LD_PRELOAD"], "x");
    }
}

#[test]
fn a_file_that_all_may_write_is_ignored_and_cannot_be_trusted() {
    let sandbox = Sandbox::new();
    let file = sandbox.write("work/.env", "A=1\n");
    sandbox.write("home/.env", "A=home\n");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    let run = sandbox.tool("qwen-env").args(["--get", "A"]).run().exits(0);
    assert_eq!(run.text(), "home\n");
    assert!(
        run.stderr.contains("/work/.env: is writable by all; ignored"),
        "{run:#?}"
    );
    sandbox
        .tool("qwen-env")
        .arg("--trust")
        .run()
        .fails(66, &["is writable by all", "chmod o-w"]);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o664)).unwrap();
    sandbox
        .tool("qwen-env")
        .args(["--get", "A"])
        .run()
        .gives(0, "1\n", "");
}

#[test]
fn a_strangers_file_or_link_is_ignored_until_it_is_trusted() {
    if !peers::present("root", rustix::process::geteuid().is_root()) {
        return;
    }
    let sandbox = Sandbox::new();
    let file = sandbox.write("work/.env", "A=1\n");
    let get = || sandbox.tool("qwen-env").args(["--get", "A"]).run();
    chown(&file, Some(65534), None).unwrap();
    let run = get().exits(1);
    assert!(
        run.stderr
            .contains("/work/.env: belongs to another user (uid 65534); ignored"),
        "{run:#?}"
    );
    trust(&sandbox);
    get().gives(0, "1\n", "");
    fs::remove_file(&file).unwrap();
    sandbox.write("own.env", "A=2\n");
    symlink("../own.env", &file).unwrap();
    get().gives(0, "2\n", "");
    std::os::unix::fs::lchown(&file, Some(65534), None).unwrap();
    let run = get().exits(1);
    assert!(run.stderr.contains("belongs to another user"), "{run:#?}");
}
