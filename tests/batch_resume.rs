//! Killed, cut, full: whatever happens to a run, the next one does what is missing, and nothing twice.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;

use crate::support::batch::{batch, echo, line, lines, prompt, results, results_in, text, whole};
use crate::support::random::Random;
use crate::support::{Gate, Reply, Run, Sandbox, Server, Tool, binary, peers, wait_until};

struct Setting {
    sandbox: Sandbox,
    server: Server,
}

impl Setting {
    fn new(input: &str) -> Self {
        Self::with(input, echo())
    }

    fn with(input: &str, server: Server) -> Self {
        let sandbox = Sandbox::new();
        sandbox.write("work/in.jsonl", input);
        Self { sandbox, server }
    }

    fn tool(&self, args: &[&str]) -> Tool {
        let tool = batch(&self.sandbox, &self.server);
        tool.args(["run", "in.jsonl", "-o", "out.jsonl"]).args(args)
    }

    fn out(&self) -> PathBuf {
        self.sandbox.work().join("out.jsonl")
    }

    fn asked(&self) -> usize {
        self.server.count()
    }
}

#[test]
fn answers_are_found_among_those_of_another_input_with_the_same_names() {
    let (sandbox, server) = (Sandbox::new(), echo());
    let other: String = (0..2)
        .map(|number| line(&format!("q{number}"), &format!("other{number}")))
        .collect();
    for (name, input) in [("one", lines(2)), ("two", other)] {
        sandbox.write(format!("work/{name}.jsonl"), input);
        let tool = batch(&sandbox, &server).args(["run".to_owned(), format!("{name}.jsonl")]);
        tool.args(["-o", &format!("{name}.out")]).run().exits(0);
    }
    let both = sandbox.read("work/one.out") + &sandbox.read("work/two.out");
    sandbox.write("work/out.jsonl", both);
    let tool = batch(&sandbox, &server).args(["run", "one.jsonl", "-o", "out.jsonl"]);
    tool.run().exits(0);
    assert_eq!(server.count(), 4, "none is asked again");
    let results = results_in(&sandbox.work().join("out.jsonl"));
    assert!(
        results.iter().all(|(name, result)| text(result) == name),
        "{results:?}"
    );
}

#[test]
fn a_failure_behind_a_good_answer_to_the_same_line_goes() {
    let (sandbox, server) = (Sandbox::new(), echo());
    sandbox.write("work/in.jsonl", lines(2));
    let run = || {
        batch(&sandbox, &server)
            .args(["run", "in.jsonl", "-o", "out.jsonl"])
            .run()
    };
    run().exits(0);
    let there = sandbox.read("work/out.jsonl");
    let mut failed: serde_json::Value = serde_json::from_str(there.lines().next().unwrap()).unwrap();
    failed["response"] = serde_json::Value::Null;
    failed["error"] = serde_json::json!({"code": "try-again", "message": "no"});
    sandbox.write("work/out.jsonl", format!("{there}{failed}\n"));
    run().exits(0);
    assert_eq!(server.count(), 2);
    assert_eq!(sandbox.read("work/out.jsonl"), there);
}

#[test]
fn a_file_system_without_locks_is_written_to_with_a_word_about_it() {
    let strace = Path::new("/usr/bin/strace");
    if !peers::present("strace", strace.exists()) {
        return;
    }
    for error in ["ENOLCK", "EOPNOTSUPP", "ENOSYS"] {
        let (sandbox, server) = (Sandbox::new(), echo());
        let inject = format!("inject=flock:error={error}");
        sandbox.write("work/in.jsonl", lines(3));
        let traced = |args: &[&str]| {
            let tool = sandbox
                .command(strace)
                .args(["-f", "-qq", "-o", "trace", "-e", "trace=flock", "-e"]);
            let tool = tool.arg(&inject).arg(binary("qwen-batch")).args(args);
            tool.env("OPENAI_API_KEY", "k")
                .env("OPENAI_BASE_URL", server.url("/v1"))
                .run()
        };
        let notice =
            "qwen-batch: 'out.jsonl': its file system has no locks: let no other qwen-batch write to it\n";
        let run = ["run", "in.jsonl", "-o", "out.jsonl"];
        traced(&run).gives(0, "", notice);
        assert!(sandbox.read("work/trace").contains("(INJECTED)"));
        let again = traced(&run).exits(0);
        assert!(
            again.stderr.starts_with(notice) && again.stderr.contains("3 there already"),
            "{again:#?}"
        );
        assert_eq!(
            (
                results_in(&sandbox.work().join("out.jsonl")).len(),
                server.count()
            ),
            (3, 3)
        );
    }
}

#[test]
fn a_second_run_asks_nothing_and_changes_nothing() {
    let setting = Setting::new(&lines(20));
    setting.tool(&[]).run().gives(0, "", "");
    let before = fs::read(setting.out()).unwrap();
    let again = setting.tool(&[]).run();
    again.gives(0, "", "qwen-batch: 20 done, 20 there already\n");
    assert_eq!((fs::read(setting.out()).unwrap(), setting.asked()), (before, 20));
    let more = format!("{}{}", lines(20), line("q20", "q20"));
    setting.sandbox.write("work/in.jsonl", more);
    let again = setting.tool(&[]).run();
    again.gives(0, "", "qwen-batch: 21 done, 20 there already\n");
    assert_eq!((results_in(&setting.out()).len(), setting.asked()), (21, 21));
}

#[test]
fn a_line_that_no_attempt_mends_is_said_with_its_reason_and_not_to_be_retried() {
    let server = Server::answering(|_, request| whole(&prompt(request)));
    let setting = Setting::with(&format!("{}nonsense\n", lines(2)), server);
    let run = setting.tool(&[]).run();
    run.fails(
        1,
        &[
            "3 done, 1 of them failed (1 data)",
            "line 3: ",
            "correct the input, then add --retry-failed",
        ],
    );
    let run = setting.tool(&["--retry-failed"]).run();
    run.fails(1, &["line 3: ", "correct the input"]);
    let server = Server::answering(|_, request| whole(&prompt(request)));
    let setting = Setting::with(&format!("{}nonsense\n[]\n", lines(2)), server);
    let run = setting.tool(&["-j", "4"]).run();
    run.fails(1, &["the first of 2 lines that are no valid request: line 3: "]);
}

#[test]
fn what_failed_before_counts_and_is_retried_if_told_so() {
    let server = Server::answering(|number, request| match prompt(request).as_str() {
        "q1" if number < 5 => Reply::json(400, r#"{"error":{"message":"no"}}"#),
        _ => whole(&prompt(request)),
    });
    let setting = Setting::with(&format!("{}nonsense\n", lines(4)), server);
    setting
        .tool(&["-j", "1"])
        .run()
        .fails(1, &["5 done, 2 of them failed", "add --retry-failed"]);
    let again = setting.tool(&[]).run();
    let again = again.fails(1, &["5 done, 2 of them failed, 5 there already"]);
    assert_eq!((again.stdout.len(), setting.asked()), (0, 4));
    let link = setting.sandbox.work().join("link.jsonl");
    std::os::unix::fs::symlink("out.jsonl", &link).unwrap();
    let tool = batch(&setting.sandbox, &setting.server).args(["run", "in.jsonl", "-o", "link.jsonl"]);
    // The second refusal, because only four had been asked so far; then the answer.
    tool.arg("--retry-failed").run().exits(1);
    setting.tool(&["--retry-failed"]).run().exits(1);
    assert_eq!(setting.asked(), 6);
    let results = results_in(&setting.out());
    assert_eq!((results.len(), text(&results["q1"])), (5, "q1"));
    let invalid = results.values().find(|result| result["error"]["line"] == 5);
    assert_eq!(invalid.unwrap()["error"]["code"], "data");
    assert!(link.symlink_metadata().unwrap().is_symlink(), "a link stays one");
    assert_eq!(
        setting.sandbox.files("work"),
        ["in.jsonl", "link.jsonl", "out.jsonl"]
    );
}

#[test]
fn an_unfinished_last_line_is_retried() {
    for (rest, kept) in [
        ("{\"id\":\"batch_req_1\",\"custom_id\":\"q1\",\"respo", 1),
        ("{", 1),
        ("\0\0\0\0", 1),
        ("{\"id\":\"batch_req_1\",\"cus\0\0", 1),
        (
            "{\"id\":\"batch_req_1\",\"custom_id\":\"q1\",\"response\":{\"status_code\":200,\"body\":{\"x\":1}},\"error\":null}",
            2,
        ),
    ] {
        let setting = Setting::new(&lines(3));
        setting.sandbox.write("work/one.jsonl", line("q0", "q0"));
        let one = batch(&setting.sandbox, &setting.server).args(["run", "one.jsonl", "-o", "out.jsonl"]);
        one.run().exits(0);
        let first = fs::read_to_string(setting.out()).unwrap();
        fs::write(setting.out(), format!("{first}{rest}")).unwrap();
        setting.tool(&[]).run().exits(0);
        let all = fs::read_to_string(setting.out()).unwrap();
        assert!(all.starts_with(&first), "{all}");
        assert_eq!(
            (results(&all).len(), setting.asked()),
            (3, 1 + 3 - kept),
            "{rest:?}"
        );
    }
    let setting = Setting::new(&lines(1));
    fs::write(setting.out(), "{\"id\":\"ba").unwrap();
    setting.tool(&[]).run().gives(0, "", "");
    assert_eq!(results_in(&setting.out()).len(), 1);
}

#[test]
fn a_file_that_holds_something_else_is_left_as_it_is() {
    let sandbox = Sandbox::new();
    let server = Server::untouched();
    sandbox.write("work/in.jsonl", lines(1));
    let good = r#"{"id":"x","custom_id":"a","response":{"status_code":200,"body":{}},"error":null}"#;
    for (content, place) in [
        ("dear diary".to_owned(), 1),
        ("dear diary\n".to_owned(), 1),
        ("{\"custom_id\":\"a\"}\n".to_owned(), 1),
        (format!("{good}\nsomething\n"), 2),
        (format!("{good}\nsomething"), 2),
        // Whole, and no beginning of a record.
        (format!("{good}\n{{\"custom_id\":\"b\"}}"), 2),
        (format!("{good}{good}"), 1),
    ] {
        sandbox.write("work/out.jsonl", &content);
        let tool = batch(&sandbox, &server).args(["run", "in.jsonl", "-o", "out.jsonl"]);
        tool.run().fails(
            65,
            &[&format!(
                "out.jsonl:{place}: not a result; the file was not changed"
            )],
        );
        assert_eq!(sandbox.read("work/out.jsonl"), content);
    }
}

#[test]
fn two_runs_do_not_write_to_one_file() {
    let server = Server::script([Reply::default().hold()]);
    let setting = Setting::with(&lines(1), server);
    let mut first = setting.tool(&[]).start();
    setting.server.wait_for(1);
    setting
        .tool(&[])
        .run()
        .fails(75, &["'out.jsonl': another qwen-batch is writing to it"]);
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(setting.asked(), 1);
}

#[test]
fn a_run_that_is_killed_again_and_again_ends_whole() {
    killed_until_done(&[]);
}

#[test]
fn a_run_that_is_killed_again_and_again_keeps_the_order() {
    let setting = killed_until_done(&["--ordered"]);
    let content = fs::read_to_string(setting.out()).unwrap();
    for (number, line) in content.lines().enumerate() {
        assert!(
            line.contains(&format!("\"custom_id\":\"q{number}\",")),
            "{number}: {line}"
        );
    }
}

fn killed_until_done(args: &[&str]) -> Setting {
    const COUNT: usize = 4_000;
    let setting = Setting::new(&lines(COUNT));
    let mut random = Random::from_environment();
    let mut kills = 0;
    loop {
        let mut child: Child = setting.tool(&["-q", "-j", "16"]).args(args).start();
        // Somewhere within its next few hundred requests.
        let end = setting.asked() + random.below(400);
        let mut status = None;
        wait_until("requests, or the end", || {
            status = child.try_wait().unwrap();
            status.is_some() || setting.asked() >= end
        });
        if let Some(status) = status {
            assert_eq!(status.code(), Some(0));
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        // Whole lines, but for the last.
        let content = fs::read_to_string(setting.out()).unwrap_or_default();
        results(content.rsplit_once('\n').map_or("", |(whole, _)| whole));
    }
    let results = results_in(&setting.out());
    assert_eq!(results.len(), COUNT);
    for (name, result) in &results {
        assert_eq!(text(result), name);
    }
    println!("{kills} kills, {} requests", setting.asked());
    assert!(kills > 3, "{kills}");
    // Asked twice is what was under way at a kill, in order or not.
    assert!(setting.asked() <= COUNT + 16 * kills, "{}", setting.asked());
    setting
}

#[test]
fn a_full_disk_is_said_no_answer_is_lost_and_the_next_run_goes_on() {
    let setting = Setting::new(&lines(200));
    // The file may have 16 KiB: the write that goes beyond is cut, and the next refused, as on a full disk.
    let script = "ulimit -f 32; TMPDIR=$PWD exec qwen-batch run in.jsonl -o out.jsonl -j 4";
    for _ in 0..2 {
        let asked = setting.asked();
        let before = fs::read_to_string(setting.out())
            .unwrap_or_default()
            .lines()
            .count();
        let run = batch_shell(&setting, script).run();
        let run = run.fails(
            74,
            &[
                "cannot write 'out.jsonl': file too large",
                "hint: make room and run the same",
                "append them to the output before the next run",
            ],
        );
        assert!(!run.stderr.contains("bug"), "{run:#?}");
        assert_eq!(run.stderr.matches("run the same command").count(), 1, "{run:#?}");
        let content = fs::read_to_string(setting.out()).unwrap();
        assert!(
            content.len() <= 16 << 10 && content.len() > 15 << 10,
            "{}",
            content.len()
        );
        assert!(content.ends_with('\n'), "whole lines only");
        // Every answer that came is in the output or beside it.
        let mut there = results(&content).len() - before;
        for file in fs::read_dir(setting.sandbox.work()).unwrap() {
            let path = file.unwrap().path();
            if path
                .file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with("qwen-batch-results-")
            {
                assert!(run.stderr.contains(path.to_str().unwrap()), "{run:#?}");
                there += results_in(&path).len();
                fs::remove_file(path).unwrap();
            }
        }
        assert_eq!(there, setting.asked() - asked);
    }
    setting.tool(&[]).run().exits(0);
    assert_eq!(results_in(&setting.out()).len(), 200);
}

/// The names beside the output that begin like a temporary file's.
fn temporary(setting: &Setting) -> Vec<String> {
    let entries = fs::read_dir(setting.sandbox.work()).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".qwen-batch."))
        .collect();
    names.sort();
    names
}

#[test]
fn what_a_killed_run_left_behind_goes_with_the_next_and_nothing_else_does() {
    let setting = Setting::new(&lines(2));
    let work = setting.sandbox.work();
    let plant = |name: &str| fs::write(work.join(name), "{\"id\":\"batch_req_sha").unwrap();
    let others = [
        ".qwen-batch.AbC.23",
        ".qwen-batch.AbC12",
        ".qwen-batch.AbC1234",
        ".qwen-batch.locked",
        ".qwen-batch.my1dir",
        ".qwen-batch.mylink",
        ".qwen-batch.twonam",
    ];
    for name in ["other", "in.jsonl.qwen-batch.AbC123"].iter().chain(&others[..4]) {
        plant(name);
    }
    fs::create_dir(work.join(others[4])).unwrap();
    std::os::unix::fs::symlink("other", work.join(others[5])).unwrap();
    fs::hard_link(work.join("other"), work.join(others[6])).unwrap();
    let held = fs::File::open(work.join(others[3])).unwrap();
    held.lock().unwrap();
    for _ in 0..2 {
        plant(".qwen-batch.AbC123");
        plant(".qwen-batch.xxxxxx");
        setting.tool(&["-q"]).run().gives(0, "", "");
        assert_eq!(temporary(&setting), others);
    }
    assert!(work.join("in.jsonl.qwen-batch.AbC123").exists());
}

#[test]
fn a_run_that_is_killed_while_it_puts_results_in_order_leaves_nothing_beside_them() {
    let strace = Path::new("/usr/bin/strace");
    if !peers::present("strace", strace.exists()) {
        return;
    }
    let setting = Setting::new(&lines(50));
    let traced = |inject: &str, sandbox: &Setting| {
        let tool = sandbox
            .sandbox
            .command(strace)
            .args(["-f", "-qq", "-o", "trace", "-e"]);
        let tool = tool.arg(inject).arg(binary("qwen-batch"));
        let tool = tool.args(["run", "in.jsonl", "-o", "out.jsonl", "--ordered", "-q"]);
        tool.env("OPENAI_API_KEY", "k")
            .env("OPENAI_MODEL", "m-1")
            .env("OPENAI_BASE_URL", sandbox.server.url("/v1"))
            .run()
    };
    setting.tool(&["-j", "1"]).run().exits(0);
    // Other lines first: the results are to be put in their order.
    let turned: String = lines(50).lines().rev().map(|line| format!("{line}\n")).collect();
    setting.sandbox.write("work/in.jsonl", turned);
    let there = fs::read_to_string(setting.out()).unwrap();
    // The results themselves are synced first, then what is to take their place.
    let run = traced("inject=fdatasync:signal=SIGKILL:when=2", &setting);
    assert_eq!(run.status.code(), None, "{run:#?}");
    assert!(fs::read_to_string(setting.out()).unwrap() == there);
    assert_eq!(temporary(&setting), [""; 0]);
    // Where the system gives it no name later, it is copied.
    let run = traced("inject=linkat:error=EPERM", &setting).exits(0);
    let now = fs::read_to_string(setting.out()).unwrap();
    assert!(now.lines().eq(there.lines().rev()), "{run:#?}");
    assert!(setting.sandbox.read("work/trace").contains("(INJECTED)"));
    assert_eq!(temporary(&setting), [""; 0]);
}

/// Every limit on open files from none at all to enough.
#[test]
fn few_descriptors_are_to_be_tried_again_and_fail_no_line() {
    let (mut refused, mut done) = (0, 0);
    for limit in 3..32 {
        let setting = Setting::with(&lines(4), echo().optional());
        let script = format!("ulimit -n {limit}; exec qwen-batch run in.jsonl -o out.jsonl");
        let run = batch_shell(&setting, &script).run();
        match run.code() {
            // The loader's own refusal.
            127 => continue,
            0 => done += 1,
            code => {
                assert_eq!(code, 75, "{limit}: {run:#?}");
                let told = format!("too many open files: limit {limit} (ulimit -n)");
                assert!(run.stderr.contains(&told), "{run:#?}");
                refused += 1;
            }
        }
        // A limit of this machine is no fault of the server, for which a run waits, nor of a line.
        assert!(!run.stderr.contains("--patience"), "{run:#?}");
        if setting.out().exists() {
            for result in results_in(&setting.out()).values() {
                text(result);
            }
        }
    }
    assert!(refused > 0 && done > 0, "{refused} {done}");
}

fn batch_shell(setting: &Setting, script: &str) -> Tool {
    setting
        .sandbox
        .command("/bin/sh")
        .env("OPENAI_API_KEY", crate::support::chat::KEY)
        .env("OPENAI_BASE_URL", setting.server.url("/v1"))
        .env("OPENAI_MODEL", "m-1")
        .args(["-c", script])
}

#[test]
fn a_device_and_a_pipe_take_results_too() {
    let setting = Setting::new(&lines(3));
    let tool = || batch(&setting.sandbox, &setting.server).args(["run", "in.jsonl", "-o"]);
    tool()
        .arg("/dev/full")
        .run()
        .fails(74, &["cannot write '/dev/full': no space left on device"]);
    tool().arg("/dev/null").run().gives(0, "", "");
    let run = batch_shell(&setting, "qwen-batch run in.jsonl -o /dev/stdout | cat")
        .run()
        .exits(0);
    assert_eq!(results(&run.text()).len(), 3);
    let run = batch_shell(&setting, "TMPDIR=$PWD qwen-batch run - < in.jsonl > /dev/full").run();
    run.fails(
        74,
        &[
            "cannot write to standard output: no space left on device",
            "hint: the last results (",
        ],
    );
}

/// The most memory that a run of so many lines had, in KiB, as the kernel counts it.
fn peak(count: usize) -> u64 {
    // The last answer is held back until the peak of the run has been read.
    let gate = Gate::default();
    let held = gate.clone();
    let server = Server::answering(move |number, request| {
        let answer = whole(&prompt(request));
        match number + 1 == count {
            true => Reply::default().gate(&held).then(answer),
            false => answer,
        }
    });
    let setting = Setting::with(&lines(count), server);
    let child = setting.tool(&["-q", "-j", "64"]).start();
    setting.server.wait_for(count);
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let peak = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    gate.open();
    Run::wait(child, "qwen-batch").gives(0, "", "");
    let results = results_in(&setting.out());
    assert_eq!((results.len(), setting.asked()), (count, count));
    peak
}

#[test]
fn thirty_thousand_lines_take_no_more_memory_than_a_thousand_but_for_their_names() {
    let few = peak(1_000);
    // What the allocator keeps differs from run to run, more on a machine that is busy: the least of three counts.
    let mut many = u64::MAX;
    for _ in 0..3 {
        many = many.min(peak(30_000));
        println!("peak: {few} KiB for a thousand, {many} KiB for thirty thousand");
        // Nine bytes a name, and what the allocator keeps.
        if many < few + 2 * 1024 {
            return;
        }
    }
    panic!("{few} KiB, then {many} KiB");
}
