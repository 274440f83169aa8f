//! qwen-auth edit: a copy in the user's editor, stored once it is valid.
use std::fs;

use crate::support::{Sandbox, Terminal, Tool};

const BEFORE: &str = "{\n  \"profiles\": {\"work\": {\"model\": \"m1\"}}\n}\n";

/// An editor that is a shell script; `$1` is the file.
fn with_editor(sandbox: &Sandbox, script: &str) -> Tool {
    let path = sandbox.program("bin/my editor", format!("#!/bin/sh\n{script}\n"));
    let quoted = format!("'{}' --wait", path.display());
    sandbox.detached("qwen-auth").arg("edit").env("EDITOR", quoted)
}

/// What `edit` leaves in the directory of the file.
fn left(sandbox: &Sandbox) -> Vec<String> {
    let entries = fs::read_dir(sandbox.config_file().parent().unwrap()).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.retain(|name| name != "config.json" && !name.ends_with(".lock"));
    names.sort();
    names
}

#[test]
fn what_is_valid_is_stored_as_it_was_written_and_no_copy_is_left() {
    let sandbox = Sandbox::new();
    sandbox.config(BEFORE);
    let script = "[ \"$1\" = --wait ] || exit 9\ncp \"$2\" \"$HOME/seen\"; stat -c %a \"$2\" \"$(dirname \"$2\")\" >\"$HOME/modes\"\n\
                  cp \"$2\" \"$2~\"; sed -i 's/m1/m2/' \"$2\"";
    let said = format!("qwen-auth: '{}' is stored\n", sandbox.config_file().display());
    with_editor(&sandbox, script).run().gives(0, "", &said);
    assert_eq!(sandbox.read(sandbox.config_file()), BEFORE.replace("m1", "m2"));
    assert_eq!(sandbox.read("home/seen"), BEFORE);
    assert_eq!(sandbox.read("home/modes"), "600\n700\n");
    assert_eq!(sandbox.mode(sandbox.config_file()), 0o600);
    assert_eq!(left(&sandbox), Vec::<String>::new());
    with_editor(&sandbox, "true")
        .run()
        .gives(0, "", "qwen-auth: nothing was changed\n");
}

#[test]
fn what_a_killed_edit_leaves_is_kept_once_and_cleared_away() {
    let sandbox = Sandbox::new();
    sandbox.config(BEFORE);
    let killed = "sed -i s/m1/m2/ \"$2\"; kill -KILL $PPID";
    let tool = with_editor(&sandbox, killed);
    tool.run();
    assert_eq!(left(&sandbox).len(), 1, "{:?}", left(&sandbox));
    let said = "qwen-auth: what was written in an edit that was cut short is in '";
    let run = with_editor(&sandbox, "true").run().exits(0);
    assert!(run.stderr.contains(said), "{run:#?}");
    assert_eq!(left(&sandbox), ["config.json.edited"]);
    let kept = sandbox.config_file().with_file_name("config.json.edited");
    assert_eq!(sandbox.read(&kept), BEFORE.replace("m1", "m2"));
    assert_eq!(sandbox.mode(&kept), 0o600);
    // One that nothing was written in is no loss, and what is kept is not replaced.
    for killed in ["kill -KILL $PPID", "sed -i s/m1/m3/ \"$2\"; kill -KILL $PPID"] {
        with_editor(&sandbox, killed).run();
        with_editor(&sandbox, "true")
            .run()
            .gives(0, "", "qwen-auth: nothing was changed\n");
        assert_eq!(left(&sandbox), ["config.json.edited"]);
    }
    assert_eq!(sandbox.read(&kept), BEFORE.replace("m1", "m2"));
}

#[test]
fn an_edit_leaves_the_copy_of_another_one_alone() {
    let sandbox = Sandbox::new();
    sandbox.config(BEFORE);
    // The editor of the first one runs the second.
    let inner = sandbox.program("bin/inner", "#!/bin/sh\nexit 0\n");
    let script = format!(
        "EDITOR={} qwen-auth edit 2>\"$HOME/said\"; sed -i s/m1/m2/ \"$2\"",
        inner.display()
    );
    with_editor(&sandbox, &script).run().exits(0);
    assert_eq!(sandbox.read("home/said"), "qwen-auth: nothing was changed\n");
    assert_eq!(sandbox.read(sandbox.config_file()), BEFORE.replace("m1", "m2"));
    assert_eq!(left(&sandbox), Vec::<String>::new());
}

#[test]
fn visual_goes_before_editor_and_one_that_cannot_be_run_is_named() {
    let sandbox = Sandbox::new();
    sandbox.config(BEFORE);
    let visual = sandbox.program("bin/visual", "#!/bin/sh\nsed -i s/m1/m3/ \"$1\"\n");
    let tool = with_editor(&sandbox, "exit 1").env("VISUAL", &visual);
    tool.run().exits(0);
    assert!(sandbox.read(sandbox.config_file()).contains("m3"));
    for (editor, code, said) in [
        ("no-such-editor", 78, "EDITOR: 'no-such-editor': not found"),
        (
            "./visual",
            78,
            "EDITOR: './visual': not found (name it by a path from / on)",
        ),
        ("vi 'x", 78, "EDITOR: a quote is not closed"),
        (
            "false",
            65,
            "editor 'false' ended with exit 1; nothing is changed",
        ),
    ] {
        let tool = sandbox.detached("qwen-auth").arg("edit").env("EDITOR", editor);
        tool.run().fails(code, &[said]);
    }
    assert_eq!(left(&sandbox), Vec::<String>::new());
    let shown = sandbox.program("bin/code", "#!/bin/sh\n");
    let run = sandbox
        .detached("qwen-auth")
        .arg("edit")
        .env("EDITOR", shown)
        .run();
    run.gives(
        0,
        "",
        "qwen-auth: nothing was changed\nqwen-auth: hint: an editor that returns before its window is closed has to be told to wait, in $EDITOR\n",
    );
}

#[test]
fn what_is_not_valid_is_never_stored_and_what_was_written_is_kept() {
    let sandbox = Sandbox::new();
    sandbox.config(BEFORE);
    let script = "printf '{\\n  // mine\\n  \"profiles\": {\"work\": {\"modle\": \"m2\"}}\\n}\\n' >\"$2\"";
    let kept = sandbox.config_file().with_file_name("config.json.edited");
    let run = with_editor(&sandbox, script).run();
    run.fails(
        65,
        &[
            "config.json:2:3: JSON has no comments; remove it\n",
            "config.json:3:25: 'profiles.work.modle' is not known; did you mean 'model'?\n",
            "qwen-auth: 2 faults; '",
            &format!("hint: what you wrote is in '{}'", kept.display()),
        ],
    );
    assert_eq!(sandbox.read(sandbox.config_file()), BEFORE);
    assert!(sandbox.read(&kept).contains("modle"));
    assert_eq!(sandbox.mode(&kept), 0o600);
    assert_eq!(left(&sandbox), ["config.json.edited"]);
}

#[test]
fn a_broken_file_is_mended_with_it_and_a_missing_one_made() {
    let sandbox = Sandbox::new();
    let script = "printf '{\"theme\": \"dark\"}' >\"$2\"";
    sandbox.config("{\"theme\": \"drak\", }");
    with_editor(&sandbox, script).run().exits(0);
    assert_eq!(sandbox.read(sandbox.config_file()), "{\"theme\": \"dark\"}");
    fs::remove_file(sandbox.config_file()).unwrap();
    with_editor(&sandbox, script).run().exits(0);
    assert_eq!(sandbox.read(sandbox.config_file()), "{\"theme\": \"dark\"}");
}

#[test]
fn on_a_terminal_it_is_offered_again_until_it_is_valid_and_the_terminal_is_given_back() {
    let sandbox = Sandbox::new();
    sandbox.config(BEFORE);
    let script = "stty -echo -icanon </dev/tty; n=$(cat \"$HOME/n\" 2>/dev/null || echo 0); echo $((n + 1)) >\"$HOME/n\"\n\
                  if [ $n = 0 ]; then sed -i 's/\"model\"/\"modle\"/' \"$1\"; else sed -i 's/\"modle\": \"m1\"/\"model\": \"m2\"/' \"$1\"; fi";
    let editor = sandbox.program("bin/ed", format!("#!/bin/sh\n{script}\n"));
    let tool = sandbox.tool("qwen-auth").arg("edit").env("EDITOR", editor);
    let mut terminal = Terminal::start(tool);
    terminal.shows("'profiles.work.modle' is not known; did you mean 'model'?");
    terminal.shows("Edit again? [Y/n] ");
    terminal.waits_for_echo(true);
    terminal.types("\n");
    terminal.shows("is stored");
    assert_eq!(terminal.ends(), 0);
    assert_eq!(sandbox.read(sandbox.config_file()), BEFORE.replace("m1", "m2"));
}

#[test]
fn ctrl_c_is_the_editors_and_leaves_nothing_behind() {
    let sandbox = Sandbox::new();
    sandbox.config(BEFORE);
    // A shell that waits for input may miss a signal that comes just before.
    let script = "trap 'sed -i s/m1/m2/ \"$1\"; exit 0' INT\necho ready\nwhile :; do sleep 0.1; done";
    let editor = sandbox.program("bin/ed", format!("#!/bin/sh\n{script}\n"));
    let tool = sandbox.tool("qwen-auth").arg("edit").env("EDITOR", editor);
    let mut terminal = Terminal::start(tool);
    terminal.shows("ready");
    terminal.types("\x03");
    terminal.shows("is stored");
    assert_eq!(terminal.ends(), 0);
    assert_eq!(left(&sandbox), Vec::<String>::new());
}

#[test]
fn a_change_by_another_process_meanwhile_is_not_overwritten() {
    let sandbox = Sandbox::new();
    sandbox.config(BEFORE);
    let config = sandbox.config_file();
    let script = format!(
        "sed -i s/m1/m2/ \"$2\"; qwen-auth set theme=dark; test -s '{}'",
        config.display()
    );
    let run = with_editor(&sandbox, &script).run();
    run.fails(
        75,
        &[
            "was changed by another process meanwhile",
            "what you wrote is in '",
        ],
    );
    assert!(sandbox.read(&config).contains("\"theme\": \"dark\"") && sandbox.read(&config).contains("m1"));
    assert!(
        sandbox
            .read(config.with_file_name("config.json.edited"))
            .contains("m2")
    );
}

#[test]
fn a_secret_does_not_follow_to_an_address_that_was_edited() {
    let sandbox = Sandbox::new();
    let before = "{\"profiles\": {\"work\": {\"base_url\": \"https://llm.example/v1\", \"key\": {\"env\": \"MY_KEY\"}}}}";
    sandbox.config(before);
    let script = "sed -i s/llm.example/other.example/ \"$2\"";
    let run = with_editor(&sandbox, script).run();
    run.fails(
        78,
        &["'key.env' would go to 'https://other.example/v1' instead of 'https://llm.example/v1'"],
    );
    assert_eq!(sandbox.read(sandbox.config_file()), before);
    let script = "sed -i 's/llm.example/other.example/; s/MY_KEY/OTHER_KEY/' \"$2\"";
    with_editor(&sandbox, script).run().exits(0);
}

#[test]
fn a_profile_that_was_taken_out_says_what_stays_and_one_of_its_name_does_not_adopt_it() {
    let sandbox = Sandbox::new();
    let profile = |host: &str| {
        format!(
            "{{\"profiles\": {{\"work\": {{\"method\": \"api-key\", \"base_url\": \"https://{host}/v1\", \"key\": {{\"store\": \"file\"}}}}}}}}"
        )
    };
    sandbox.config(&profile("llm.example"));
    sandbox.write(
        "home/.config/qwen/credentials/work.json",
        r#"{"method": "api-key", "api_key": "sk-canary-0123456789"}"#,
    );
    let run = with_editor(&sandbox, "echo '{\"profiles\": {}}' >\"$2\"").run();
    let run = run.exits(0);
    assert!(
        run.stderr
            .contains("profile 'work' is gone; its credential stays in '"),
        "{run:#?}"
    );
    let script = format!("echo '{}' >\"$2\"", profile("evil.example"));
    with_editor(&sandbox, &script).run().fails(
        78,
        &[
            "a key that was stored before in '",
            "would go to 'https://evil.example/v1'",
            "config.json.edited",
        ],
    );
    assert!(!sandbox.read(sandbox.config_file()).contains("evil"));
}

#[test]
fn a_secret_does_not_follow_under_another_name() {
    for name in ["x-team", "X-Other"] {
        let sandbox = Sandbox::new();
        sandbox.config(
            "{\"profiles\": {\"work\": {\"base_url\": \"https://llm.example/v1\", \"headers\": {\"X-Team\": \"canary-team\"}}}}",
        );
        let script = format!("sed -i 's/llm.example/evil.example/; s/X-Team/{name}/' \"$2\"");
        with_editor(&sandbox, &script)
            .run()
            .fails(78, &["'headers.X-Team' would go to 'https://evil.example/v1'"]);
    }
}

#[test]
fn what_an_editor_wrote_is_not_lost_whatever_its_umask_or_its_bytes() {
    let sandbox = Sandbox::new();
    sandbox.config(BEFORE);
    let script = "umask 000; sed s/m1/m2/ \"$2\" >\"$2.new\"; mv \"$2.new\" \"$2\"";
    with_editor(&sandbox, script).run().exits(0);
    assert_eq!(sandbox.read(sandbox.config_file()), BEFORE.replace("m1", "m2"));
    assert_eq!(sandbox.mode(sandbox.config_file()), 0o600);
    let script = "printf 'mine \\377' >\"$2\"";
    let run = with_editor(&sandbox, script).run();
    run.fails(65, &["not valid UTF-8", "what you wrote is in '"]);
    let kept = sandbox.config_file().with_file_name("config.json.edited");
    assert_eq!(fs::read(&kept).unwrap(), b"mine \xff");
    assert_eq!(sandbox.mode(&kept), 0o600);
}

#[test]
fn a_file_that_was_left_with_its_faults_is_not_passed_over() {
    let sandbox = Sandbox::new();
    sandbox.write("home/.config/qwen/config.json", "{\"profiles\": {");
    let run = sandbox
        .detached("qwen-auth")
        .arg("edit")
        .env("EDITOR", "true")
        .run();
    run.fails(
        65,
        &["nothing was changed", "the file ends in the middle", "1 fault; '"],
    );
}
