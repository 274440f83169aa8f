//! The recipes of qwen-recipes(7) for jobs and for many requests, each copied from the screen and used by
//! the program that it is for. Those for git, for the keyboard, and for CI and containers have modules of their own.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::support::page::Page;
use crate::support::peers::{command, present};
use crate::support::recipe::{answering, asked, broken, recipe, refusal, reply, shell, tools};
use crate::support::{Reply, Sandbox, Server, Tool};
use serde_json::json;

/// Every recipe, with the module whose tests run it.
const RUN: [(&str, &str); 20] = [
    ("A commit message", "recipes_git"),
    ("The text of a pull request", "recipes_git"),
    ("Explain a commit", "recipes_git"),
    ("Log triage in cron", "recipes"),
    ("A unit and a timer of systemd", "recipes"),
    ("make", "recipes"),
    ("A loop", "recipes"),
    ("xargs", "recipes"),
    ("parallel", "recipes"),
    ("jq", "recipes_keyboard"),
    ("fzf", "recipes_keyboard"),
    ("vim", "recipes_keyboard"),
    ("tmux", "recipes_keyboard"),
    ("GitHub Actions", "recipes_ci"),
    ("GitLab CI", "recipes_ci"),
    ("Dockerfile", "recipes_ci"),
    ("An agent behind qwen-proxy", "recipes_ci"),
    ("One budget for a whole script", "recipes_ci"),
    ("With curl", "recipes_ci"),
    ("aichat", "env_clients"),
];

#[test]
fn every_recipe_is_run() {
    let pages = Page::all();
    let page = pages.iter().find(|page| page.file == "qwen-recipes.7").unwrap();
    let shown: BTreeSet<String> = page
        .displays()
        .into_iter()
        .map(|display| display.heading)
        .collect();
    let run: BTreeSet<String> = RUN.map(|(heading, _)| heading.to_owned()).into();
    assert_eq!(&shown, &run);
    for (heading, module) in RUN {
        let code = crate::support::tree::read(format!("tests/{module}.rs"));
        assert!(code.contains(&format!("recipe(\"{heading}\", ")), "{heading}");
    }
}

/// The pages from which whole files are copied.
const WITH_FILES: [&str; 2] = ["qwen-faq.7", "qwen-recipes.7"];

#[test]
fn what_is_copied_is_the_same_from_every_reader_of_pages_and_fits_a_terminal() {
    for page in Page::all() {
        let shown = page.displays_by_renderer();
        for (renderer, displays) in &shown {
            for (display, first) in displays.iter().zip(&shown[0].1) {
                assert_eq!(display.text(), first.text(), "{renderer} {}", page.file);
                let is_long = display.copied.lines().any(|line| line.chars().count() > 80);
                assert!(
                    !is_long || !WITH_FILES.contains(&&*page.file),
                    "{}",
                    display.copied
                );
            }
        }
    }
}

/// A program of the system, or nothing, said loudly.
fn peer(name: &str) -> bool {
    present(name, command(name).is_some())
}

/// A home whose profile needs no key, and programs where cargo puts them.
fn at_home(server: &Server) -> Sandbox {
    let sandbox = Sandbox::new();
    let profile = json!({"base_url": server.url("/v1"), "model": "tiny"});
    sandbox.config(&json!({"default_profile": "here", "profiles": {"here": profile}}).to_string());
    let bin = sandbox.home().join(".cargo/bin");
    std::fs::create_dir_all(bin.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(tools(), bin).unwrap();
    sandbox.program("home/bin/log-triage", recipe("Log triage in cron", 0));
    sandbox
}

/// What cron(8) runs for a line of a table: in the home directory, by sh, with no more than this in the environment.
fn by_cron(sandbox: &Sandbox, log: &str) -> Tool {
    let line = recipe("Log triage in cron", 1);
    let words: Vec<&str> = line.trim().splitn(6, ' ').collect();
    assert!(
        words[..5]
            .iter()
            .all(|field| field.chars().all(|c| c.is_ascii_digit() || c == '*')),
        "{line}"
    );
    assert!(
        words[5].contains("/var/log/syslog") && !words[5].contains('%'),
        "{line}"
    );
    let job = words[5].replace("/var/log/syslog", log);
    let home = sandbox.home().display().to_string();
    let variables = [
        format!("HOME={home}"),
        "LOGNAME=me".into(),
        "SHELL=/bin/sh".into(),
        "PATH=/usr/bin:/bin".into(),
    ];
    let cron = sandbox
        .command("/usr/bin/setsid")
        .args(["--wait", "/usr/bin/env", "-i"])
        .args(variables);
    cron.args(["/bin/sh", "-c", &job]).current_dir(sandbox.home())
}

const LOG: &str = "Jan 1 00:00:01 host app: started\nJan 1 00:00:02 host app: ERROR: disk \u{fffd}\nJan 1 00:00:03 host app: fine\n";

#[test]
fn cron_mails_what_went_wrong_and_nothing_when_nothing_did() {
    let server = answering("One cause: the disk.");
    let sandbox = at_home(&server);
    // Not all that is in a log is UTF-8.
    let log = LOG
        .replace('\u{fffd}', "!")
        .into_bytes()
        .into_iter()
        .map(|b| if b == b'!' { 0xff } else { b });
    let log = sandbox.write("home/a.log", log.collect::<Vec<u8>>());
    by_cron(&sandbox, log.to_str().unwrap())
        .run()
        .gives(0, "One cause: the disk.\n", "");
    let question = asked(&server).concat();
    assert!(
        question.contains("ERROR: disk") && !question.contains("fine"),
        "{question}"
    );
    let quiet = sandbox.write("home/b.log", "all is well\n");
    by_cron(&sandbox, quiet.to_str().unwrap()).run().gives(0, "", "");
    assert_eq!(server.count(), 1);
}

#[test]
fn cron_mails_the_lines_themselves_when_there_is_no_summary() {
    for (reply, code) in [(refusal(), 77), (broken("One"), 76)] {
        let server = Server::script([reply]);
        let sandbox = at_home(&server);
        let log = sandbox.write("home/a.log", LOG);
        let run = by_cron(&sandbox, log.to_str().unwrap()).run().exits(code);
        let text = run.text();
        assert!(text.starts_with(&format!("No summary (exit {code})")), "{run:#?}");
        assert!(text.contains("ERROR: disk") && !text.contains("One"), "{run:#?}");
    }
}

#[test]
fn a_job_that_still_runs_is_not_started_twice() {
    let server = Server::untouched();
    let sandbox = at_home(&server);
    let log = sandbox.write("home/a.log", LOG);
    let lock = sandbox
        .command("/usr/bin/flock")
        .arg(sandbox.home().join(".triage"));
    let mut holder = lock
        .args(["/bin/sh", "-c", "echo held; read line"])
        .into_command();
    let mut holder = holder
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = [0; 5];
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut said).unwrap();
    by_cron(&sandbox, log.to_str().unwrap()).run().gives(1, "", "");
    drop(holder.stdin.take());
    holder.wait().unwrap();
}

#[test]
fn the_unit_and_the_timer_are_systemds_and_what_may_pass_is_its_75() {
    const TITLE: &str = "A unit and a timer of systemd";
    let busy = Reply::with_headers(503, &[("retry-after", "0")], "{}");
    let server = Server::script([busy]);
    let sandbox = at_home(&server);
    let log = sandbox.write("home/a.log", LOG);
    let units = ".config/systemd/user";
    let service = recipe(TITLE, 0).replace("/var/log/syslog", log.to_str().unwrap());
    let service_file = sandbox.write(format!("home/{units}/log-triage.service"), &service);
    let timer_file = sandbox.write(format!("home/{units}/log-triage.timer"), recipe(TITLE, 1));
    assert!(recipe(TITLE, 2).contains("enable --now log-triage.timer"));
    let start = service
        .lines()
        .find_map(|line| line.trim().strip_prefix("ExecStart="))
        .unwrap();
    let words: Vec<String> = start
        .split(' ')
        .map(|word| word.replace("%h", sandbox.home().to_str().unwrap()))
        .collect();
    let run = sandbox.command("/usr/bin/env").args(["-i", "PATH=/usr/bin:/bin"]);
    let run = run
        .arg(format!("HOME={}", sandbox.home().display()))
        .args(&words)
        .run()
        .exits(75);
    assert!(run.text().contains("ERROR: disk"), "{run:#?}");
    assert!(service.contains("RestartForceExitStatus=75\n"));
    if !peer("systemd-analyze") {
        return;
    }
    let verify = |file: &PathBuf| {
        let analyze = sandbox
            .command("/usr/bin/systemd-analyze")
            .args(["--user", "--man=no", "verify"]);
        let run = analyze.arg(file).run().exits(0);
        let about_ours = run.stderr.lines().any(|line| line.contains("log-triage"));
        assert!(!about_ours, "{run:#?}");
    };
    verify(&service_file);
    verify(&timer_file);
    let calendar = recipe(TITLE, 1);
    let calendar = calendar
        .lines()
        .find_map(|line| line.trim().strip_prefix("OnCalendar="))
        .unwrap();
    sandbox
        .command("/usr/bin/systemd-analyze")
        .args(["calendar", calendar])
        .run()
        .exits(0);
}

#[test]
fn a_profile_reads_the_credential_of_a_service() {
    let server = answering("wren");
    let sandbox = at_home(&server);
    let with = |tool: Tool| tool.env_remove("OPENAI_API_KEY").env_remove("OPENAI_BASE_URL");
    let set = recipe("A unit and a timer of systemd", 3);
    with(shell(&sandbox, "", "/bin/sh", &set)).run().exits(0);
    sandbox.write("credentials/key", "sk-of-the-service\n");
    let chat = with(shell(&sandbox, "", "/bin/sh", "qwen-chat hi"));
    let chat = chat.env("CREDENTIALS_DIRECTORY", sandbox.root().join("credentials"));
    chat.run().gives(0, "wren\n", "");
    assert_eq!(
        server.requests()[0].header("authorization"),
        Some("Bearer sk-of-the-service")
    );
}

#[test]
fn make_makes_what_is_missing_and_keeps_no_half_answer() {
    let whole = Server::answering(|count, request| match count {
        0 => broken("Hal"),
        _ => reply(request, "Hallo"),
    });
    let sandbox = Sandbox::new();
    sandbox.write("work/Makefile", recipe("make", 0));
    for name in ["README.md", "a.md", "b.md"] {
        sandbox.write(format!("work/{name}"), "Hello, $(shell touch planted)\n");
    }
    let make = |goals: &str| {
        shell(
            &sandbox,
            &whole.url("/v1"),
            "/bin/sh",
            &format!("make -s {goals}"),
        )
        .run()
    };
    let run = make("").exits(2);
    assert!(run.stderr.contains("Error 76"), "{run:#?}");
    assert!(!sandbox.work().join("README.de.md").exists());
    make("").exits(0);
    assert_eq!(sandbox.read("work/README.de.md"), "Hallo\n");
    make("").exits(0);
    assert_eq!(whole.count(), 2);
    make("-j8 a.de.md b.de.md").exits(0);
    assert_eq!(whole.count(), 4);
}

#[test]
fn a_loop_asks_about_every_line() {
    let server = Server::answering(|_, request| match request.text().contains("refuse") {
        true => refusal(),
        false => reply(request, "bug"),
    });
    for program in ["/bin/sh", "/bin/bash", "/usr/bin/zsh", "/usr/bin/busybox"] {
        if !present(program, std::path::Path::new(program).exists()) {
            continue;
        }
        let (sandbox, before) = (Sandbox::new(), server.count());
        // Blanks, a backslash, and a last line without its end.
        sandbox.write("work/issues.txt", "one\n  two \\n\nrefuse\nlast");
        let script = recipe("A loop", 0);
        let run = match program {
            "/usr/bin/busybox" => {
                sandbox.write("work/script", &script);
                shell(&sandbox, &server.url("/v1"), "/bin/sh", "busybox sh ./script").run()
            }
            _ => shell(&sandbox, &server.url("/v1"), program, &script).run(),
        };
        let run = run.exits(0);
        assert_eq!(
            run.text(),
            "bug\tone\nbug\t  two \\n\nexit 77\trefuse\nbug\tlast\n",
            "{program}: {run:#?}"
        );
        assert_eq!(server.count(), before + 4, "{program}");
    }
}

/// Texts with names that a careless script would run, and an endpoint that refuses one of them.
fn texts(sandbox: &Sandbox) -> Server {
    for name in [
        "a",
        "b b",
        "c'\"`touch planted`",
        "$(touch planted)",
        "-d",
        "deep/e",
    ] {
        sandbox.write(format!("work/{name}.txt"), format!("text {name}\n"));
    }
    Server::answering(
        |count, request| match request.text().contains("text b b") && count < 6 {
            true => refusal(),
            false => reply(request, "short"),
        },
    )
}

/// The recipe sums up all but one, and the rest when it runs again.
fn sums_up(sandbox: &Sandbox, server: &Server, recipe: &str, code: i32) {
    let run = || shell(sandbox, &server.url("/v1"), "/bin/sh", recipe).run();
    run().exits(code);
    let find = "find . -name '*.sum' -type f | wc -l; find . -name planted; find . -name '*.sum' -size 0";
    let found = |count: usize| {
        let run = sandbox.command("/bin/sh").args(["-c", find]).run();
        assert_eq!(run.text(), format!("{count}\n"));
    };
    found(5);
    assert!(!sandbox.work().join("b b.txt.sum").exists());
    assert_eq!(server.count(), 6);
    run().exits(0);
    found(6);
    assert_eq!(server.count(), 7);
    assert!(
        asked(server)
            .iter()
            .all(|question| question.matches("text ").count() == 1)
    );
}

#[test]
fn xargs_sums_up_every_file_and_a_second_run_does_the_rest() {
    let sandbox = Sandbox::new();
    let server = texts(&sandbox);
    sums_up(&sandbox, &server, &recipe("xargs", 0), 123);
}

#[test]
fn parallel_sums_up_every_file_and_a_second_run_does_the_rest() {
    if !peer("parallel") {
        return;
    }
    let sandbox = Sandbox::new();
    let server = texts(&sandbox);
    sums_up(&sandbox, &server, &recipe("parallel", 0), 1);
    let jobs = sandbox.read("work/jobs");
    assert!(
        jobs.lines().any(|line| line.split('\t').nth(6) == Some("77")),
        "{jobs}"
    );
}
