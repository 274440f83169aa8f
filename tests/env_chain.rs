//! Which files count: the order of the search, the two rules, and what the environment already has.

use crate::support::{Sandbox, Tool};

/// The tool, started in a directory of the sandbox, printing one value. Nothing waits for consent.
fn get(sandbox: &Sandbox, directory: &str, name: &str) -> Tool {
    std::fs::create_dir_all(sandbox.root().join(directory)).unwrap();
    let tool = sandbox.tool("qwen-env").args(["--all", "--get", name]);
    tool.current_dir(sandbox.root().join(directory))
}

/// Writes a file that sets W to its own path, and a name of its own.
fn mark(sandbox: &Sandbox, path: &str) {
    let own = path.replace(['/', '.'], "_").to_uppercase();
    sandbox.write(path, format!("W={path}\nOWN{own}=1\n"));
}

#[test]
fn the_first_file_found_upward_wins_and_files_are_not_merged() {
    let sandbox = Sandbox::new();
    let order = [
        "work/a/b/.qwen/.env",
        "work/a/b/.env",
        "work/a/.qwen/.env",
        "work/a/.env",
        "work/.qwen/.env",
        "work/.env",
        ".qwen/.env",
        ".env",
        "home/.qwen/.env",
        "home/.env",
    ];
    for path in order {
        mark(&sandbox, path);
    }
    for (place, path) in order.iter().enumerate() {
        get(&sandbox, "work/a/b", "W")
            .run()
            .gives(0, format!("{path}\n"), "");
        for other in order.iter().skip(place + 1) {
            let own = format!("OWN{}", other.replace(['/', '.'], "_").to_uppercase());
            let run = get(&sandbox, "work/a/b", &own).run().exits(1);
            assert_eq!(run.text(), "");
            // What a home file would have given is told.
            let is_home = other.starts_with("home/") && !path.starts_with("home/");
            assert_eq!(run.stderr.contains("ended the search"), is_home, "{run:#?}");
            assert_eq!(run.stderr.contains("QWEN_ENV_CHAIN=merge"), is_home, "{run:#?}");
        }
        std::fs::remove_file(sandbox.root().join(path)).unwrap();
    }
    get(&sandbox, "work/a/b", "W").run().gives(1, "", "");
}

#[test]
fn a_file_above_home_is_found_from_below_home_after_the_home_files() {
    let sandbox = Sandbox::new();
    mark(&sandbox, ".env");
    get(&sandbox, "home/project", "W").run().gives(0, ".env\n", "");
    mark(&sandbox, "home/.env");
    get(&sandbox, "home/project", "W")
        .run()
        .gives(0, "home/.env\n", "");
    mark(&sandbox, "home/.qwen/.env");
    get(&sandbox, "home/project", "W")
        .run()
        .gives(0, "home/.qwen/.env\n", "");
}

#[test]
fn of_two_assignments_on_one_line_the_last_wins() {
    let sandbox = Sandbox::new();
    // U+2028 ends a line of the grammar, not one of an editor.
    sandbox.write(
        "work/.env",
        "W='1'\u{2028}W='2'\u{2028}export W='3'\u{2029}OTHER=1\n",
    );
    get(&sandbox, "work", "W").run().gives(0, "3\n", "");
    let told = sandbox.tool("qwen-env").arg("--explain").run().exits(0).text();
    assert_eq!(told.matches("overwritten: by line 1").count(), 2, "{told}");
}

#[test]
fn an_empty_file_is_a_file() {
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", "");
    mark(&sandbox, "home/.env");
    let run = get(&sandbox, "work", "W").run().exits(1);
    let said = format!("qwen-env: {}/.env: sets no variable\n", sandbox.work().display());
    assert!(run.text().is_empty() && run.stderr.starts_with(&said), "{run:#?}");
    let run = sandbox
        .tool("qwen-env")
        .args(["--require", "--format", "null"])
        .run();
    run.gives(0, "", &said);
}

/// As PowerShell's `>` writes it (motdotla/dotenv#445).
#[test]
fn a_file_in_utf_16_is_told_as_that_by_the_tool_that_lacks_what_it_sets() {
    let line = "OPENAI_API_KEY=sk-1\r\n";
    let little: Vec<u8> = line.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = line.encode_utf16().flat_map(u16::to_be_bytes).collect();
    for file in [
        [&[0xff, 0xfe], &little[..]].concat(),
        [&[0xfe, 0xff], &big[..]].concat(),
        little,
        big,
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("work/.env", file);
        let path = sandbox.work().join(".env").display().to_string();
        let said = "sets no variable: it is UTF-16, as PowerShell's '>' writes it; save it as UTF-8";
        sandbox.tool("qwen-env").args(["--format", "null"]).run().gives(
            0,
            "",
            &format!("qwen-env: {path}: {said}\n"),
        );
        let run = sandbox.tool("qwen-token").run();
        run.fails(77, &[&format!("is configured; '{path}' {said}\n")]);
        let run = sandbox.tool("qwen-env").arg("--check").run().exits(65);
        let told =
            format!("{path}: is UTF-16, as PowerShell's '>' writes it: nothing reads it; save it as UTF-8\n");
        assert_eq!(run.text(), told);
    }
}

#[test]
fn qwen_home_replaces_the_directory_in_the_home() {
    let sandbox = Sandbox::new();
    mark(&sandbox, "home/.qwen/.env");
    mark(&sandbox, "home/.env");
    mark(&sandbox, "elsewhere/.env");
    let elsewhere = sandbox.root().join("elsewhere");
    get(&sandbox, "work", "W")
        .env("QWEN_HOME", &elsewhere)
        .run()
        .gives(0, "elsewhere/.env\n", "");
    get(&sandbox, "work", "W")
        .env("QWEN_HOME", " ")
        .run()
        .gives(0, "home/.qwen/.env\n", "");
    std::fs::remove_file(elsewhere.join(".env")).unwrap();
    get(&sandbox, "work", "W")
        .env("QWEN_HOME", &elsewhere)
        .run()
        .gives(0, "home/.env\n", "");
}

#[test]
fn a_relative_qwen_home_is_refused_lest_each_project_be_the_users_own() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "work/.qwen/.env",
        "OPENAI_BASE_URL=https://evil.example\nLD_PRELOAD=evil\n",
    );
    for home in [
        ".qwen",
        "./.qwen",
        "..",
        "../work/.qwen",
        "~x",
        " .qwen",
        ".qwen/",
    ] {
        let run = sandbox
            .tool("qwen-env")
            .env("QWEN_HOME", home)
            .args(["--format", "json"])
            .run();
        run.fails(78, &["QWEN_HOME", home.trim(), "is not an absolute path"]);
    }
}

#[test]
fn what_else_lies_in_the_home_directory_is_no_home_file() {
    let sandbox = Sandbox::new();
    let text = "LD_PRELOAD=evil\nOPENAI_MODEL=m\n";
    for file in [
        ".env.local",
        "prod.env",
        ".qwen/prod.env",
        "clone/.env",
        "clone/.qwen/.env",
    ] {
        let file = sandbox.write(format!("home/{file}"), text);
        let tool = sandbox
            .tool("qwen-env")
            .args(["-q", "--format", "null", "--file"]);
        tool.arg(file).run().gives(0, "OPENAI_MODEL=m\0", "");
    }
    let tool = sandbox.tool("qwen-env").args(["-q", "--format", "null"]);
    tool.current_dir(sandbox.home().join("clone"))
        .run()
        .gives(0, "OPENAI_MODEL=m\0", "");
}

#[test]
fn merging_fills_what_the_project_leaves_unset_from_each_home_file() {
    let sandbox = Sandbox::new();
    sandbox.write("work/a/.env", "A=project\nE=\nF=\n");
    sandbox.write("work/.env", "A=above\nABOVE=1\n");
    sandbox.write("elsewhere/.env", "A=q\nB=q\nE=\nF=filled\n");
    sandbox.write("home/.qwen/.env", "B=legacy\nC=legacy\n");
    sandbox.write("home/.env", "C=home\nD=home\n");
    let merged = |rule: &[&str], name: &str| {
        let tool = get(&sandbox, "work/a", name).args(rule);
        tool.env("QWEN_HOME", sandbox.root().join("elsewhere")).run()
    };
    for (name, value) in [
        ("A", "project"),
        ("B", "q"),
        ("C", "legacy"),
        ("D", "home"),
        ("E", ""),
        ("F", "filled"),
    ] {
        merged(&["--chain", "merge"], name).gives(0, format!("{value}\n"), "");
    }
    merged(&["--chain", "merge"], "ABOVE").gives(1, "", "");
    for (name, found) in [("A", true), ("B", false), ("D", false)] {
        assert_eq!(merged(&[], name).code() == 0, found, "{name}");
    }
    let by_variable = get(&sandbox, "work/a", "D").env("QWEN_ENV_CHAIN", "merge");
    by_variable.run().gives(0, "home\n", "");
    let flag_wins = get(&sandbox, "work/a", "D")
        .env("QWEN_ENV_CHAIN", "merge")
        .args(["--chain", "first"]);
    assert_eq!(flag_wins.run().exits(1).text(), "");
}

#[test]
fn merging_stops_walking_at_home_also_where_home_is_a_link() {
    let sandbox = Sandbox::new();
    sandbox.write(".env", "ABOVE=1\n");
    sandbox.write("home/.env", "HOMES=1\n");
    std::os::unix::fs::symlink(sandbox.home(), sandbox.root().join("link")).unwrap();
    for home in ["home", "link", "home/", "work/../home"] {
        let from = |name: &str| {
            let tool = get(&sandbox, "home/project/sub", name).args(["--chain", "merge"]);
            tool.env("HOME", format!("{}/{home}", sandbox.root().display()))
                .run()
        };
        from("ABOVE").gives(1, "", "");
        from("HOMES").gives(0, "1\n", "");
    }
}

#[test]
fn an_unknown_rule_is_a_fault_of_the_settings() {
    let sandbox = Sandbox::new();
    let run = sandbox
        .tool("qwen-env")
        .args(["--format", "json"])
        .env("QWEN_ENV_CHAIN", "all")
        .run();
    run.fails(78, &["QWEN_ENV_CHAIN: 'all' is neither 'first' nor 'merge'"]);
    sandbox
        .tool("qwen-env")
        .env("QWEN_ENV_CHAIN", "")
        .run()
        .gives(0, "", "");
}

#[test]
fn a_variable_that_is_set_wins_even_when_it_is_empty() {
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", "A=file\n");
    let tool = |value: &str| get(&sandbox, "work", "A").env("A", value);
    tool("mine").run().gives(0, "mine\n", "");
    tool("").run().gives(0, "\n", "");
    tool("").args(["--chain", "merge"]).run().gives(0, "file\n", "");
    tool("mine")
        .args(["--chain", "merge"])
        .run()
        .gives(0, "mine\n", "");
    tool("mine").arg("--override").run().gives(0, "file\n", "");
}

#[test]
fn debug_is_not_taken_from_a_projects_plain_file() {
    let sandbox = Sandbox::new();
    let debug = "DEBUG=1\nDEBUG_MODE=true\nA=1\n";
    let taken = |expected: bool| {
        for name in ["DEBUG", "DEBUG_MODE"] {
            assert_eq!(get(&sandbox, "work", name).run().code() == 0, expected, "{name}");
        }
        get(&sandbox, "work", "A").run().gives(0, "1\n", "");
    };
    let project = sandbox.write("work/.env", debug);
    taken(false);
    sandbox.tool("qwen-env").args(["--trust", "--yes"]).run().exits(0);
    taken(false);
    std::fs::remove_file(project).unwrap();
    for exempt in ["work/.qwen/.env", "home/.qwen/.env", "home/.env"] {
        let file = sandbox.write(exempt, debug);
        taken(true);
        std::fs::remove_file(file).unwrap();
    }
}

/// Which of these names the project's file sets.
fn taken(sandbox: &Sandbox, names: &[&str]) -> Vec<String> {
    let run = sandbox
        .tool("qwen-env")
        .args(["-q", "--all", "--format", "json"])
        .env(
            "QWEN_CODE_SYSTEM_SETTINGS_PATH",
            sandbox.root().join("system.json"),
        )
        .env(
            "QWEN_CODE_SYSTEM_DEFAULTS_PATH",
            sandbox.root().join("defaults.json"),
        )
        .run()
        .exits(0);
    let set: serde_json::Value = serde_json::from_str(&run.text()).unwrap();
    let set = names.iter().filter(|name| set.get(name).is_some());
    set.map(|name| (*name).to_owned()).collect()
}

#[test]
fn the_users_and_the_systems_settings_replace_the_excluded_names_and_a_projects_only_add() {
    const NAMES: [&str; 5] = ["DEBUG", "DEBUG_MODE", "ONE", "TWO", "THREE"];
    let sandbox = Sandbox::new();
    let lines = NAMES.iter().map(|name| format!("{name}=1\n"));
    sandbox.write("work/.env", lines.collect::<String>());
    let set = || taken(&sandbox, &NAMES).join(" ");
    assert_eq!(set(), "ONE TWO THREE");
    let list = |names: &str| format!("// mine\n{{\"advanced\": {{\"excludedEnvVars\": [{names}]}}}}");
    for file in ["home/.qwen/settings.json", "system.json", "defaults.json"] {
        let file = sandbox.write(file, list("\"ONE\", 7"));
        assert_eq!(set(), "DEBUG DEBUG_MODE TWO THREE", "{}", file.display());
        sandbox.write(
            "work/.qwen/settings.json",
            "{\"excludedProjectEnvVars\": [\"TWO\"]}",
        );
        assert_eq!(set(), "DEBUG DEBUG_MODE THREE", "{}", file.display());
        sandbox.write("work/.qwen/settings.json", "{not json");
        assert_eq!(set(), "DEBUG DEBUG_MODE TWO THREE", "{}", file.display());
        sandbox.write(&file, list(""));
        assert_eq!(set(), "DEBUG DEBUG_MODE ONE TWO THREE", "{}", file.display());
        std::fs::remove_file(file).unwrap();
    }
    // The user's and the system's lists together.
    sandbox.write("home/.qwen/settings.json", list("\"ONE\""));
    sandbox.write("system.json", list("\"TWO\""));
    assert_eq!(set(), "DEBUG DEBUG_MODE THREE");
}

/// As Qwen Code looks for them.
#[test]
fn the_systems_defaults_are_looked_for_beside_the_systems_settings() {
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", "DEBUG=1\nONE=1\n");
    let list = |name: &str| format!("{{\"advanced\": {{\"excludedEnvVars\": [\"{name}\"]}}}}");
    sandbox.write("etc/system-defaults.json", list("ONE"));
    let get = |name: &str| sandbox.tool("qwen-env").args(["--all", "--get", name]);
    let system = sandbox.root().join("etc/settings.json");
    let get = |name: &str| {
        get(name)
            .env("QWEN_CODE_SYSTEM_SETTINGS_PATH", &system)
            .run()
            .code()
    };
    assert_eq!((get("ONE"), get("DEBUG")), (1, 0));
    sandbox.write("etc/settings.json", list("DEBUG"));
    assert_eq!((get("ONE"), get("DEBUG")), (1, 1));
}

#[test]
fn no_projects_settings_lift_the_rule_about_debug() {
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", "DEBUG=1\nDEBUG_MODE=1\nONE=1\n");
    for settings in [
        "{\"advanced\": {\"excludedEnvVars\": []}}",
        "{\"excludedProjectEnvVars\": []}",
        "{\"advanced\": {\"excludedEnvVars\": null}}",
        "{\"advanced\": {\"excludedEnvVars\": [\"OTHER\"]}, \"excludedProjectEnvVars\": []}",
        "{\"advanced\": {\"excludedEnvVars\": {\"DEBUG\": false}}}",
        "{\"advanced\": []}",
        "[]",
    ] {
        sandbox.write("work/.qwen/settings.json", settings);
        assert_eq!(
            taken(&sandbox, &["DEBUG", "DEBUG_MODE", "ONE"]),
            ["ONE"],
            "{settings}"
        );
    }
}

#[test]
fn another_directory_and_another_file_can_be_named() {
    let sandbox = Sandbox::new();
    mark(&sandbox, "other/.env");
    mark(&sandbox, "work/.env");
    let named = sandbox.write("work/prod.env", "W=named\n");
    get(&sandbox, "work", "W")
        .args(["-C", "../other"])
        .run()
        .gives(0, "other/.env\n", "");
    get(&sandbox, "work", "W")
        .args(["--file", "prod.env"])
        .run()
        .gives(0, "named\n", "");
    get(&sandbox, "work", "W")
        .arg("--file")
        .arg(&named)
        .run()
        .gives(0, "named\n", "");
    get(&sandbox, "work", "W")
        .args(["-C", "..", "--file", "work/prod.env"])
        .run()
        .gives(0, "named\n", "");
}
