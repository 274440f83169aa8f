//! What a project's file does without consent: set what the toolkit knows, and nothing else, if it is not a stranger's. And
//! how consent lifts that, for a path and its content.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use crate::support::{Run, Sandbox, binary, peers};

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
    sandbox.tool("qwen-env").args(["--trust", "--yes"]).run().exits(0)
}

fn dangerous_file() -> String {
    let lines = DANGEROUS.iter().map(|name| format!("{name}=evil\n"));
    lines.chain(["OPENAI_MODEL=fine\n".to_owned()]).collect()
}

#[test]
fn a_projects_file_sets_only_what_the_toolkit_knows_until_it_is_trusted() {
    for path in ["work/.env", "work/.qwen/.env"] {
        let sandbox = Sandbox::new();
        let file = sandbox.write(path, dangerous_file());
        assert_eq!(
            added(&sandbox, &[]),
            serde_json::json!({ "OPENAI_MODEL": "fine" }),
            "{path}"
        );
        let told = sandbox.tool("qwen-env").run().exits(0).stderr;
        let rest = DANGEROUS.len() - 20;
        let notice = format!(
            "qwen-env: {}: {} variables wait for consent: {} and {rest} more, {rest} of them by which programs run code or send secrets\n\
             qwen-env: hint: run 'qwen-env --trust' to see what it sets and to consent\n",
            file.display(),
            DANGEROUS.len(),
            DANGEROUS[..20].join(", "),
        );
        assert_eq!(told, notice);
        trust(&sandbox);
        let all = added(&sandbox, &[]);
        for name in DANGEROUS {
            assert_eq!(all[name], "evil", "{name}");
        }
        fs::write(&file, dangerous_file() + "X=1\n").unwrap();
        assert_eq!(
            added(&sandbox, &[]),
            serde_json::json!({ "OPENAI_MODEL": "fine" })
        );
    }
}

/// Names by which real programs run code, load files or send secrets, and ordinary ones: none is the toolkit's.
const UNKNOWN: [&str; 44] = [
    "GROFF_BIN_PATH",
    "APT_CONFIG",
    "GSS_MECH_CONFIG",
    "RSYNC_CONNECT_PROG",
    "BAT_OPTS",
    "TIG_SCRIPT",
    "IRBRC",
    "CCACHE_PREFIX",
    "BORG_PASSCOMMAND",
    "PERF_EXEC_PATH",
    "VALGRIND_LIB",
    "DASHSCOPE_HTTP_BASE_URL",
    "GOOGLE_GEMINI_BASE_URL",
    "AZURE_OPENAI_ENDPOINT",
    "HF_ENDPOINT",
    "VAULT_ADDR",
    "PGHOST",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "PYTHONBREAKPOINT",
    "PERL5DB",
    "LUA_INIT",
    "TEXMFHOME",
    "GHC_ENVIRONMENT",
    "OPENSSL_ENGINES",
    "LESSKEYIN_SYSTEM",
    "GIT_EXTERNAL_DIFF",
    "TMUX_TMPDIR",
    "WGETRC",
    "GDBHISTFILE",
    "SYSTEMD_PAGER",
    "MISTRAL_API_BASE",
    "LANGFUSE_HOST",
    "SENTRY_DSN",
    "REDIS_URL",
    "OLLAMA_HOST",
    "AWS_ENDPOINT_URL",
    "CONSUL_HTTP_ADDR",
    "PIP_INDEX_URL",
    "QWEN_PROFILE",
    "QWEN_HOME",
    "openai_api_key",
    "OPENAI_BASE_URL_",
    "GREETING",
    "A",
];

#[test]
fn no_name_is_too_harmless_or_too_new_to_wait() {
    let sandbox = Sandbox::new();
    let lines = UNKNOWN
        .iter()
        .map(|name| format!("{name}=https://evil.example/x\n"));
    sandbox.write("work/.env", lines.collect::<String>() + "OPENAI_MODEL=m\n");
    let own = serde_json::json!({ "OPENAI_MODEL": "m" });
    assert_eq!(added(&sandbox, &[]), own);
    for name in UNKNOWN {
        let run = sandbox.tool("qwen-env").args(["-q", "--get", name]).run();
        run.gives(1, "", "");
    }
    let script = "eval $(qwen-env -q); env";
    let after = sandbox
        .command("/bin/sh")
        .args(["-c", script])
        .run()
        .exits(0)
        .text();
    assert!(!after.contains("evil"), "{after}");
    let run = sandbox.tool("qwen-env").args(["-q", "--", "env"]).run().exits(0);
    assert!(!run.text().contains("evil"), "{run:#?}");
}

#[test]
fn what_the_toolkit_knows_needs_no_consent() {
    let sandbox = Sandbox::new();
    let known = [
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "OPENAI_MODEL",
        "OPENAI_API_VERSION",
        "DASHSCOPE_API_KEY",
        "OPENROUTER_API_KEY",
        "MODELSCOPE_API_KEY",
        "DEEPSEEK_API_KEY",
        "AZURE_OPENAI_API_KEY",
    ];
    let lines = known.iter().map(|name| format!("{name}=x\n"));
    sandbox.write("work/.env", lines.collect::<String>());
    let run = sandbox.tool("qwen-env").args(["--format", "json"]).run().exits(0);
    let set: serde_json::Value = serde_json::from_str(&run.text()).unwrap();
    assert!(known.iter().all(|name| set[name] == "x"), "{run:#?}");
    assert_eq!(run.stderr, "");
}

#[test]
fn a_withheld_value_is_a_no_that_says_why() {
    let sandbox = Sandbox::new();
    let file = sandbox.write(
        "work/.env",
        "GREETING=hi\nOPENAI_BASE_URL=https://x.example\nDEBUG=1\nL='a\0b'\n",
    );
    let hint = "qwen-env: hint: run 'qwen-env --trust' to see what it sets and to consent\n";
    let get = |name: &str| sandbox.tool("qwen-env").args(["--get", name]).run();
    let place = |line: u32| format!("qwen-env: {}:{line}:", file.display());
    get("GREETING").gives(
        1,
        "",
        &format!(
            "{} 'GREETING' is withheld: it waits for consent\n{hint}",
            place(1)
        ),
    );
    let run = get("OPENAI_BASE_URL").exits(1);
    assert!(
        run.stderr
            .contains("'OPENAI_BASE_URL' is withheld: an untrusted project file"),
        "{run:#?}"
    );
    let run = get("DEBUG").exits(1);
    assert!(
        run.stderr
            .contains("'DEBUG' is withheld: Qwen Code does not take it"),
        "{run:#?}"
    );
    get("NOPE").gives(1, "", "");
    let mine = sandbox
        .tool("qwen-env")
        .env("GREETING", "mine")
        .args(["--get", "GREETING"]);
    mine.run().gives(0, "mine\n", "");
}

#[test]
fn the_hint_works_as_typed_from_where_the_user_stands() {
    let sandbox = Sandbox::new();
    sandbox.write("work/p 'q\"$(id)/.env", "GREETING=hi\n");
    fs::create_dir_all(sandbox.work().join("p 'q\"$(id)/sub")).unwrap();
    for arguments in [
        vec!["-C", "p 'q\"$(id)/sub"],
        vec!["-C", "p 'q\"$(id)", "--chain", "merge"],
    ] {
        let run = sandbox
            .tool("qwen-env")
            .args(&arguments)
            .args(["--shell", "sh"])
            .run()
            .exits(0);
        let (_, rest) = run.stderr.split_once("hint: run '").unwrap();
        let (command, _) = rest.split_once("' to see").unwrap();
        for shell in ["/bin/dash", "/bin/bash"] {
            sandbox.command(shell).args(["-c", command]).run().exits(0);
            assert_eq!(added(&sandbox, &arguments)["GREETING"], "hi", "{command}");
            sandbox
                .tool("qwen-env")
                .args(["--untrust", "p 'q\"$(id)/.env"])
                .run()
                .exits(0);
            assert_eq!(added(&sandbox, &arguments), serde_json::json!({}));
        }
    }
}

#[test]
fn the_same_notice_is_given_once_to_a_shell_and_again_when_the_content_changes() {
    let sandbox = Sandbox::new();
    sandbox.write("work/a/.env", "GREETING=hi\nOPENAI_MODEL=m\n");
    sandbox.write("work/b/.env", "");
    let script = "ev() { eval $(qwen-env); }; n() { echo \"[$1]\" >&2; }; cd a; ev; n same; ev; cd ../b; n other; ev; \
                  n back; cd ../a; ev; n changed; echo '#' >>.env; ev; n child; sh -c 'eval $(qwen-env)'; \
                  n command; qwen-env -- true; n data; qwen-env --format null >/dev/null";
    let run = sandbox.command("/bin/sh").args(["-c", script]).run().exits(0);
    let spoken: Vec<&str> = run
        .stderr
        .lines()
        .filter(|line| !line.contains("hint"))
        .map(|line| {
            if line.starts_with('[') {
                line
            } else {
                line.rsplit(": ").next().unwrap()
            }
        })
        .collect();
    assert_eq!(
        spoken.join(" "),
        "GREETING [same] [other] sets no variable [back] [changed] GREETING [child] GREETING [command] GREETING [data] GREETING",
        "{run:#?}"
    );
}

#[test]
fn the_notices_of_a_hostile_file_are_few_and_short() {
    let many = |line: &dyn Fn(usize) -> String| (0..9_000).map(line).collect::<String>();
    for content in [
        many(&|number| format!("N{number}=1\n")),
        many(&|number| format!("N{number}=\0\n")),
        many(&|_| "QWEN_PROFILE=x\n".to_owned()),
        many(&|number| format!("LD_{number}=1\n")),
        format!("{}=1\n", "X".repeat(1_000_000)),
        (0..7)
            .map(|number| format!("OPENAI_MODEL={number}{}\n", "x".repeat(140_000)))
            .collect(),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("work/.env", &content.as_bytes()[..content.len().min(1024 * 1024)]);
        for arguments in [vec![], vec!["--all"], vec!["--format", "json"]] {
            let run = sandbox.tool("qwen-env").args(&arguments).run().exits(0);
            assert!(run.stderr.lines().count() <= 23, "{arguments:?}: {}", run.stderr);
            assert!(run.stderr.len() < 8 * 1024, "{arguments:?}: {}", run.stderr);
        }
    }
}

#[test]
fn all_takes_everything_but_the_marked_names_and_makes_no_address_the_users_own() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "work/.env",
        "GREETING=hi\nLD_PRELOAD=x\nSOME_BASE_URL=https://x.example\nOPENAI_BASE_URL=https://x.example\nQWEN_PROFILE=p\n",
    );
    let expected = serde_json::json!({ "GREETING": "hi" });
    assert_eq!(added(&sandbox, &["--all"]), expected);
    assert_eq!(added(&sandbox, &["--file", ".env"]), expected);
    let key = sandbox.tool("qwen-env").env("OPENAI_API_KEY", "sk-mine");
    let run = key.args(["-q", "--all", "--format", "json"]).run().exits(0);
    assert!(!run.text().contains("x.example"), "{run:#?}");
}

#[test]
fn the_configuration_allows_names_of_ones_choice() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "work/.env",
        "GREETING=hi\nAPP_PORT=1\nAPP_COMMAND=x\nLD_PRELOAD=x\nQWEN_PROFILE=p\n",
    );
    for (allow, expected) in [
        (r#"["GREETING"]"#, "GREETING"),
        (r#"["APP_*"]"#, "APP_PORT"),
        (r#"["*"]"#, "APP_PORT GREETING"),
        (r#"["LD_PRELOAD", "APP_COMMAND"]"#, "APP_COMMAND LD_PRELOAD"),
        (r#"["LD_*", "QWEN_PROFILE", "greeting"]"#, ""),
        ("[]", ""),
    ] {
        sandbox.config(&format!(
            "{{\"profiles\": {{}}, \"env\": {{\"allow\": {allow}}}}}"
        ));
        let set = added(&sandbox, &[]);
        let mut names: Vec<&str> = set.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names.join(" "), expected, "{allow}");
    }
    for (config, said) in [
        (
            "{\"env\": {\"allow\": \"GREETING\"}}",
            "'env.allow' is not a list of names",
        ),
        (
            "{\"env\": {\"allow\": [1]}}",
            "'env.allow' is not a list of names",
        ),
        ("{\"env\":\n {", "config.json:2:2: this is not JSON"),
    ] {
        sandbox.config(config);
        let run = sandbox
            .tool("qwen-env")
            .args(["--format", "null"])
            .run()
            .exits(78);
        assert!(run.text().is_empty() && run.stderr.contains(said), "{run:#?}");
    }
}

#[test]
fn a_configuration_that_others_can_write_allows_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", "GREETING=hi\n");
    let config = sandbox.config("{\"env\": {\"allow\": [\"*\"]}}");
    assert_eq!(added(&sandbox, &[])["GREETING"], "hi");
    let refused = |what: &str| {
        for arguments in [&["--format", "null"][..], &["--get", "GREETING"], &["--explain"]] {
            let run = sandbox.tool("qwen-env").args(arguments).run().exits(78);
            let is_named = run.stderr.contains("config.json' is not used: ");
            assert!(run.text().is_empty() && is_named, "{what}: {run:#?}");
        }
        sandbox.tool("qwen-token").run().exits(78);
    };
    fs::set_permissions(&config, fs::Permissions::from_mode(0o602)).unwrap();
    refused("mode");
    fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(config.parent().unwrap(), fs::Permissions::from_mode(0o777)).unwrap();
    refused("directory");
    fs::set_permissions(config.parent().unwrap(), fs::Permissions::from_mode(0o700)).unwrap();
    if rustix::process::geteuid().is_root() {
        chown(&config, Some(65534), None).unwrap();
        refused("owner");
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
fn no_file_whatever_the_user_consented_to_sets_the_record_the_profile_or_a_shells_helper() {
    let text = "QWEN_ENV_EXPORTED=HOME@0123456789abcdef\nQWEN_PROFILE=theirs\n_qwen_env_hook=./x\nA=1\n";
    for file in ["home/.env", "home/.qwen/.env", "work/.env", "work/.qwen/.env"] {
        let sandbox = Sandbox::new();
        sandbox.write(file, text);
        sandbox
            .config("{\"env\": {\"allow\": [\"QWEN_PROFILE\", \"QWEN_ENV_EXPORTED\", \"_qwen_env_hook\"]}}");
        if file.starts_with("work") {
            trust(&sandbox);
        }
        for arguments in [vec![], vec!["--all"], vec!["--override"]] {
            let tool = sandbox.tool("qwen-env").args(["--format", "null"]);
            let run = tool.args(&arguments).run().exits(0);
            assert_eq!(run.text(), "A=1\0", "{file}");
            for name in ["QWEN_ENV_EXPORTED", "QWEN_PROFILE", "_qwen_env_hook"] {
                let refused = format!("refused '{name}': no file may set it");
                assert!(run.stderr.contains(&refused), "{run:#?}");
            }
        }
    }
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
    sandbox.tool("qwen-env").arg("--untrust").run().exits(0);
    assert_eq!(added(&sandbox, &[]), serde_json::json!({}));
    sandbox.tool("qwen-env").arg("--untrust").run().exits(0);
}

#[test]
fn a_file_can_be_trusted_by_name_and_forgotten_when_it_is_gone() {
    let sandbox = Sandbox::new();
    let file = sandbox.write("work/sub/.env", "LD_PRELOAD=x\n");
    symlink(sandbox.work(), sandbox.root().join("link")).unwrap();
    sandbox
        .tool("qwen-env")
        .args(["--yes", "--trust", "../link/sub/.env"])
        .run()
        .exits(0);
    assert_eq!(added(&sandbox, &["-C", "sub"])["LD_PRELOAD"], "x");
    fs::remove_file(&file).unwrap();
    let untrust = sandbox.tool("qwen-env").args(["--untrust", "sub/.env"]);
    untrust.run().exits(0);
    sandbox.write("work/sub/.env", "LD_PRELOAD=x\n");
    assert_eq!(added(&sandbox, &["-C", "sub"]), serde_json::json!({}));
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
fn a_damaged_trust_store_is_refused_and_not_overwritten() {
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", "LD_PRELOAD=x\nOPENAI_MODEL=1\n");
    let store = sandbox.write("home/.local/state/qwen/trust.json", "{broken");
    for (text, reason) in [
        ("{broken", "it is not JSON"),
        ("{\"files\": {", "it ends in the middle"),
        ("{}", "'files' is not an object"),
    ] {
        fs::write(&store, text).unwrap();
        let shown = store.display();
        let told = format!("qwen-env: {shown}: cannot use the trust store: {reason}\n");
        let hint = format!("hint: run 'mv {shown} {shown}.damaged' to begin a new one");
        for words in [
            &["--format", "null"][..],
            &["--trust", "--yes"],
            &["--untrust"],
            &["--", "true"],
        ] {
            let run = sandbox.tool("qwen-env").args(words).run();
            let run = run.fails(74, &[&told, &hint]);
            assert_eq!(run.text(), "", "{words:?}");
        }
        assert_eq!(fs::read_to_string(&store).unwrap(), text);
    }
    let mended = format!("mv {0} {0}.damaged && qwen-env --trust --yes -q", store.display());
    sandbox.command("/bin/dash").args(["-c", &mended]).run().exits(0);
    assert_eq!(added(&sandbox, &[])["LD_PRELOAD"], "x");
}

/// Where the store is a mount of its own it is written in place, with a whole copy beside it (a write that was cut short).
#[test]
fn a_trust_store_cut_short_is_taken_from_its_whole_copy_where_that_is_ones_own() {
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", "LD_PRELOAD=x\n");
    trust(&sandbox);
    let store = sandbox.home().join(".local/state/qwen/trust.json");
    let copy = store.with_file_name("trust.json.whole");
    let whole = fs::read_to_string(&store).unwrap();
    let cut = &whole[..whole.len() / 2];
    fs::copy(&store, &copy).unwrap();
    fs::write(&store, cut).unwrap();
    assert_eq!(added(&sandbox, &[])["LD_PRELOAD"], "x");
    for (content, mode) in [(whole.as_str(), 0o666), (cut, 0o600)] {
        fs::write(&copy, content).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(mode)).unwrap();
        let run = sandbox.tool("qwen-env").args(["--format", "null"]).run();
        run.fails(74, &["cannot use the trust store: it ends in the middle"]);
    }
}

#[test]
fn many_files_trusted_at_once_are_all_trusted() {
    let sandbox = Sandbox::new();
    let children: Vec<_> = (0..24)
        .map(|number| {
            let file = sandbox.write(format!("work/p{number}/.env"), "LD_PRELOAD=x\n");
            sandbox
                .tool("qwen-env")
                .args(["--yes", "--trust"])
                .arg(file)
                .start()
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
fn a_file_that_all_may_write_counts_once_it_is_trusted() {
    let sandbox = Sandbox::new();
    let file = sandbox.write("work/.env", "A=1\n");
    sandbox.write("home/.env", "A=home\n");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    let get = || sandbox.tool("qwen-env").args(["--all", "--get", "A"]).run();
    let run = get().exits(0);
    assert_eq!(run.text(), "home\n");
    assert!(
        run.stderr.contains("/work/.env: is writable by all; passed over")
            && run
                .stderr
                .contains(&format!("run 'chmod o-w {}'", file.display()))
            && run.stderr.contains("run 'qwen-env --trust'"),
        "{run:#?}"
    );
    // As on a mount where every mode is 0777: path and content are what counts.
    trust(&sandbox);
    get().gives(0, "1\n", "");
    fs::write(&file, "A=2\n").unwrap();
    assert_eq!(get().exits(0).text(), "home\n");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o664)).unwrap();
    get().gives(0, "2\n", "");
}

#[test]
fn consent_lifts_the_mode_of_a_home_file_too() {
    for path in ["home/.env", "home/.qwen/.env"] {
        let sandbox = Sandbox::new();
        let file = sandbox.write(path, "LD_PRELOAD=x\n");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(added(&sandbox, &[]), serde_json::json!({}));
        sandbox
            .tool("qwen-env")
            .args(["--yes", "--trust"])
            .arg(&file)
            .run()
            .exits(0);
        assert_eq!(added(&sandbox, &[])["LD_PRELOAD"], "x", "{path}");
    }
}

#[test]
fn a_strangers_file_or_link_is_passed_over_until_it_is_trusted() {
    if !peers::present("root", rustix::process::geteuid().is_root()) {
        return;
    }
    let sandbox = Sandbox::new();
    let file = sandbox.write("work/.env", "A=1\n");
    let get = || sandbox.tool("qwen-env").args(["--all", "--get", "A"]).run();
    chown(&file, Some(65534), None).unwrap();
    let run = get().exits(1);
    assert!(
        run.stderr
            .contains("/work/.env: belongs to another user (uid 65534); passed over"),
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

#[test]
fn the_answers_of_older_stores_and_refusals_are_read() {
    let sandbox = Sandbox::new();
    let file = sandbox.write("work/.env", "GREETING=hi\n");
    let digest = digest("GREETING=hi\n");
    for (entry, code, silent) in [
        (serde_json::json!(digest), 0, true),
        (serde_json::json!({ "digest": digest, "answer": "yes" }), 0, true),
        (serde_json::json!({ "digest": digest, "answer": "no" }), 1, true),
        (
            serde_json::json!({ "digest": digest, "answer": "later" }),
            1,
            false,
        ),
        (
            serde_json::json!({ "digest": "sha256:00", "answer": "yes" }),
            1,
            false,
        ),
        (serde_json::json!(7), 1, false),
    ] {
        keep(&sandbox, &file, &entry);
        let run = sandbox.tool("qwen-env").args(["-q", "--get", "GREETING"]).run();
        assert_eq!(run.code(), code, "{entry}");
        // Who said no is not told again that it waits.
        let run = sandbox.tool("qwen-env").args(["--format", "null"]).run().exits(0);
        assert_eq!(run.stderr.is_empty(), silent, "{entry}: {run:#?}");
    }
}

fn digest(content: &str) -> String {
    use sha2::Digest as _;
    let hash = sha2::Sha256::digest(content);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// Writes a trust store with one entry.
fn keep(sandbox: &Sandbox, file: &Path, entry: &serde_json::Value) {
    let store = serde_json::json!({ "files": { file.to_str().unwrap(): entry } });
    sandbox.write("home/.local/state/qwen/trust.json", store.to_string());
    let directory = sandbox.home().join(".local/state/qwen");
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_trust_store_that_others_can_write_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", "GREETING=hi\n");
    trust(&sandbox);
    let store = sandbox.home().join(".local/state/qwen/trust.json");
    let refused = |what: &str| {
        for words in [&["--format", "null"][..], &["--trust", "--yes"], &["--untrust"]] {
            let run = sandbox.tool("qwen-env").args(words).run();
            let run = run.fails(78, &["trust.json' is not used: ", "hint: "]);
            assert_eq!(run.text(), "", "{what} {words:?}");
        }
        let eval = sandbox
            .command("/bin/dash")
            .args(["-c", "eval $(qwen-env)"])
            .run();
        assert_ne!(eval.code(), 0, "{what}: {eval:#?}");
    };
    fs::set_permissions(&store, fs::Permissions::from_mode(0o606)).unwrap();
    refused("mode");
    fs::set_permissions(&store, fs::Permissions::from_mode(0o600)).unwrap();
    let directory = store.parent().unwrap();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o777)).unwrap();
    refused("directory");
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).unwrap();
    if rustix::process::geteuid().is_root() {
        chown(&store, Some(65534), None).unwrap();
        refused("owner");
    }
}

/// A file of the table: where it lies, whose it is, its mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Home,
    Project,
    Foreign,
    ForeignUnreadable,
    ForeignLink,
    Roots,
    WritableByAll,
    Unreadable,
    Fifo,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Consented {
    None,
    Yes,
    No,
    Allow,
    All,
}

const CONTENT: &str = "OPENAI_MODEL=m\nGREETING=hi\nGIT_PAGER=p\n";
const NAMES: [&str; 3] = ["OPENAI_MODEL", "GREETING", "GIT_PAGER"];

/// The names that count, or `None` where the search ends with a failure.
fn expected(kind: Kind, consented: Consented) -> Option<&'static [&'static str]> {
    let of_consent: &[&str] = match consented {
        Consented::None | Consented::No => &NAMES[..1],
        Consented::All => &NAMES[..2],
        Consented::Yes | Consented::Allow => &NAMES,
    };
    match kind {
        Kind::Unreadable => None,
        Kind::Home => Some(&NAMES),
        Kind::Project | Kind::Roots | Kind::Fifo => Some(of_consent),
        // Consent to the content lifts owner and mode; an unreadable one has no content to consent to.
        Kind::Foreign | Kind::ForeignLink | Kind::WritableByAll if consented == Consented::Yes => {
            Some(&NAMES)
        }
        _ => Some(&[]),
    }
}

/// Makes the file as another user than root will find it.
fn make(sandbox: &Sandbox, kind: Kind) -> std::path::PathBuf {
    let path = if kind == Kind::Home {
        "home/.env"
    } else {
        "work/.env"
    };
    let file = sandbox.write(path, CONTENT);
    match kind {
        Kind::Fifo => {
            fs::remove_file(&file).unwrap();
            rustix::fs::mkfifoat(rustix::fs::CWD, &file, 0o600.into()).unwrap();
        }
        Kind::ForeignLink => {
            fs::rename(&file, sandbox.work().join("real")).unwrap();
            symlink("real", &file).unwrap();
        }
        _ => {}
    }
    let nobody = ["-R", "65534:65534"];
    let chowned = sandbox
        .command("/bin/chown")
        .args(nobody)
        .arg(sandbox.root())
        .run();
    chowned.exits(0);
    let mode = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    match kind {
        Kind::Foreign => {
            chown(&file, Some(65533), None).unwrap();
            mode(0o644);
        }
        Kind::ForeignUnreadable => {
            chown(&file, Some(65533), None).unwrap();
            mode(0);
        }
        Kind::ForeignLink => std::os::unix::fs::lchown(&file, Some(65533), None).unwrap(),
        Kind::Roots => {
            chown(&file, Some(0), None).unwrap();
            mode(0o644);
        }
        Kind::WritableByAll => mode(0o666),
        Kind::Unreadable => mode(0),
        Kind::Home | Kind::Project | Kind::Fifo => {}
    }
    file
}

/// The names that one form of output gives.
fn given(sandbox: &Sandbox, form: &str, flags: &str, fifo: Option<&Path>) -> Option<Vec<&'static str>> {
    // The writer of a FIFO serves one reader.
    let serve = match fifo {
        Some(fifo) => format!("(printf %s '{CONTENT}' >'{}') & ", fifo.display()),
        None => String::new(),
    };
    let values = || {
        NAMES
            .map(|name| {
                format!(
                    "{serve} qwen-env {flags} -q --get {name} >/dev/null; case $? in 0) echo {name}=;; 66) exit 66;; esac; \
                     wait; "
                )
            })
            .concat()
    };
    let script = match form {
        "statements" => format!("{serve} eval $(qwen-env {flags} -q) && env || exit 66"),
        "command" => format!("{serve} qwen-env {flags} -q -- env"),
        "get" => values(),
        format => format!(
            "{serve} qwen-env {flags} -q --format {format} | tr '\\0' '\\n'; test ${{PIPESTATUS[0]}} = 0 || exit 66"
        ),
    };
    // The programs may lie where only the tests' own user may look.
    let script = format!("PATH={}:$PATH; {script}", sandbox.root().display());
    let tool = sandbox.command(peers::command("setpriv")?);
    let run = tool
        .args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "--",
            "bash",
            "-c",
            &script,
        ])
        .run();
    let text = run.text();
    let names = NAMES.iter().copied();
    let found = |name: &str| {
        text.lines()
            .any(|line| line.starts_with(&format!("{name}=")) || line.contains(&format!("\"{name}\":")))
    };
    (run.code() != 66).then(|| names.filter(|name| found(name)).collect())
}

#[test]
fn every_kind_of_file_with_every_answer_gives_the_same_in_every_form() {
    let setpriv = rustix::process::geteuid().is_root() && peers::command("setpriv").is_some();
    if !peers::present("setpriv", setpriv) {
        return;
    }
    let place = Sandbox::new();
    let copy = place.root().join("qwen-env");
    fs::copy(binary("qwen-env"), &copy).unwrap();
    for kind in [
        Kind::Home,
        Kind::Project,
        Kind::Foreign,
        Kind::ForeignUnreadable,
        Kind::ForeignLink,
        Kind::Roots,
        Kind::WritableByAll,
        Kind::Unreadable,
        Kind::Fifo,
    ] {
        for consented in [
            Consented::None,
            Consented::Yes,
            Consented::No,
            Consented::Allow,
            Consented::All,
        ] {
            let sandbox = Sandbox::new();
            fs::hard_link(&copy, sandbox.root().join("qwen-env")).unwrap();
            let file = sandbox.root().join(if kind == Kind::Home {
                "home/.env"
            } else {
                "work/.env"
            });
            let answer = match consented {
                Consented::Yes => "yes",
                _ => "no",
            };
            match consented {
                Consented::Yes | Consented::No => {
                    let entry = serde_json::json!({ "digest": digest(CONTENT), "answer": answer });
                    keep(&sandbox, &file, &entry);
                }
                Consented::Allow => {
                    sandbox.config("{\"env\": {\"allow\": [\"GREETING\", \"GIT_PAGER\"]}}");
                }
                Consented::None | Consented::All => {}
            }
            let file = make(&sandbox, kind);
            let flags = if consented == Consented::All { "--all" } else { "" };
            let fifo = (kind == Kind::Fifo).then_some(&*file);
            for form in ["statements", "command", "get", "json", "dotenv", "null"] {
                let found = given(&sandbox, form, flags, fifo);
                assert_eq!(
                    found.as_deref(),
                    expected(kind, consented),
                    "{kind:?}, {consented:?}, {form}"
                );
            }
        }
    }
}

#[test]
fn anothers_unreadable_file_hides_nothing_and_is_named() {
    let setpriv = rustix::process::geteuid().is_root() && peers::command("setpriv").is_some();
    if !peers::present("setpriv", setpriv) {
        return;
    }
    for (what, script) in [
        ("file", "echo A=evil >.env; chmod 0 .env; chown 65533 .env"),
        ("fifo", "mkfifo .env; chown 65533 .env"),
        (
            "link to one's own",
            "ln -s ../home/.env .env; chown -h 65533 .env",
        ),
        (
            "link to another's",
            "echo A=evil >x; chmod 0 x; chown 65533 x; ln -s x .env; chown -h 65534 .env",
        ),
        (
            "readable file",
            "echo A=evil >.env; chmod 644 .env; chown 65533 .env",
        ),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("home/.env", "OPENAI_API_KEY=mine\n");
        let nobody = ["-R", "65534:65534"];
        sandbox
            .command("/bin/chown")
            .args(nobody)
            .arg(sandbox.root())
            .run()
            .exits(0);
        sandbox.command("/bin/sh").args(["-c", script]).run().exits(0);
        let tool = sandbox.command(peers::command("setpriv").unwrap());
        let run = tool
            .args([
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
                "--",
                "qwen-env",
                "--get",
                "OPENAI_API_KEY",
            ])
            .run()
            .exits(0);
        assert_eq!(run.text(), "mine\n", "{what}");
        let said = "/work/.env: belongs to another user (uid 65533); passed over";
        assert!(run.stderr.contains(said), "{what}: {run:#?}");
    }
}

/// By these the shells run code, or expand a prompt and with it the commands in it.
const OF_SHELLS: [&str; 16] = [
    "PROMPT_EOL_MARK",
    "YASH_AFTER_CD",
    "YASH_PS1",
    "YASH_LOADPATH",
    "PS1R",
    "PS2S",
    "PROMPT_FIELDS",
    "RIGHT_PROMPT",
    "PROMPT_INDICATOR_VI_NORMAL",
    "TRANSIENT_PROMPT_INDICATOR",
    "fish_key_bindings",
    "__fish_data_dir",
    "EXECSHELL",
    "ARGV0",
    "PSExecutionPolicyPreference",
    "_qwen_env_hook",
];

#[test]
fn what_the_shells_themselves_run_is_not_among_everything() {
    let sandbox = Sandbox::new();
    let lines = OF_SHELLS.iter().map(|name| format!("{name}=./x\n"));
    sandbox.write("work/.env", lines.collect::<String>() + "A=1\n");
    assert_eq!(added(&sandbox, &["--all"]), serde_json::json!({ "A": "1" }));
}
