"""What the injection of faults must do, and what its judge must not let pass."""
import pathlib
import tempfile
import types
import unittest

from fault_injection import faults, judge, trial
from fault_injection.faults import Fault
from fault_injection.scenarios import Scenario
from fault_injection.server import KEY, State
from fault_injection.world import Command, Run

SCENARIO = Scenario("token", Command(("qwen-token",)), None, None, ("home/own.json",), on_failure="false;\n")
CLEAN_START = 'execve("qwen-token") = 0\n1 read(3</lib/libc.so.6>, "", 8) = 8\n1 rt_sigaction(SIGBUS, {sa_handler=0x1}, NULL, 8) = 0\n'


def trace(*calls):
    lines = "".join(f"{call}\n" for call in calls)
    return faults.Trace(f"1 {CLEAN_START}{lines}", "/top")


class OfRuns(unittest.TestCase):
    def judge(self, code, stderr, call="openat", error="EIO", stdout="false;\n"):
        return judge.of_run(SCENARIO, Run(code, stdout, stderr), Fault(call, error, 1))

    def test_a_failure_in_good_order_passes(self):
        self.assertEqual(self.judge(74, "qwen-token: cannot read 'x': input/output error\n"), [])
        self.assertEqual(self.judge(75, "qwen-token: too many open files\n", error="EMFILE"), [])
        self.assertEqual(self.judge(74, "qwen-token: no space left on device\n", "write", "ENOSPC"), [])
        self.assertEqual(self.judge(0, "", error="EINTR", stdout="x"), [])

    def test_what_may_not_be_is_found(self):
        said = "qwen-token: cannot read 'x'\n"
        for code, stderr, more in [
            (70, said, {}),
            (101, said, {}),
            (134, said, {}),
            (None, said, {}),
            (74, "", {}),
            (74, said, {"stdout": "export A=1;\n"}),
            (74, f"qwen-token: {KEY} is wrong\n", {}),
            (74, "qwen-token: at src/main.rs:7\n", {}),
            (74, "qwen-token: cannot read: Permission denied (os error 13)\n", {}),
            (74, "qwen-token: too many open files\n", {"error": "EMFILE"}),
            (75, said, {"error": "EMFILE"}),
            (75, "qwen-token: no space left\n", {"error": "ENOSPC"}),
            (74, said, {"call": "flock", "error": "EINTR"}),
            (74, "qwen-token: cannot create 'x': 'x' is not a directory\n", {"call": "statx"}),
            (74, "qwen-token: cannot create 'x': input/output error\n", {"call": "statx", "error": "EACCES"}),
            (77, said, {"error": "EIO"}),
            (0, said, {"stdout": KEY}),
        ]:
            with self.subTest(code=code, stderr=stderr, **more):
                self.assertNotEqual(self.judge(code, stderr, **more), [])


    def test_a_run_that_was_too_late_is_known(self):
        late = "qwen-token: the system keyring did not answer within 3 s\n"
        self.assertTrue(judge.is_late(Run(75, "", late)))
        self.assertFalse(judge.is_late(Run(0, "", late)) or judge.is_late(Run(75, "", "qwen-token: cannot connect\n")))


class OfFiles(unittest.TestCase):
    def judge(self, name, content, mode=0o600, leftovers=False, said=""):
        with tempfile.TemporaryDirectory() as top:
            file = pathlib.Path(top) / "home" / name
            file.parent.mkdir()
            file.write_text(content)
            file.chmod(mode)
            return judge.of_files(types.SimpleNamespace(here=pathlib.Path(top)), SCENARIO, leftovers,
                                  said.format(file=file))

    def test_a_secret_may_be_in_its_own_private_file_alone(self):
        self.assertEqual(self.judge("own.json", f'"{KEY}"'), [])
        self.assertNotEqual(self.judge("own.json", f'"{KEY}"', mode=0o640), [])
        self.assertNotEqual(self.judge("other.json", f'"{KEY}"'), [])

    def test_a_writer_cut_short_may_leave_its_file_until_the_next_run(self):
        self.assertEqual(self.judge("own.json.tmp.1", KEY, leftovers=True), [])
        self.assertNotEqual(self.judge("own.json.tmp.1", KEY), [])
        self.assertNotEqual(self.judge("other.json.tmp.1", KEY, leftovers=True), [])

    def test_a_login_that_cannot_be_stored_may_stay_where_that_is_said(self):
        said = "qwen-login: it is kept in '{file}'"
        self.assertEqual(self.judge("own.json.1", KEY, said=said), [])
        self.assertNotEqual(self.judge("other.json.1", KEY, said=said), [])
        self.assertNotEqual(self.judge("own.json.1", KEY, said="qwen-login: it is kept in '/elsewhere'"), [])

    def test_a_file_is_whole_or_found(self):
        self.assertEqual(self.judge("a.jsonl", '{"a": 1}\n{"b": 2}\n'), [])
        for name, content in [("a.json", '{"a": '), ("a.json", ""), ("a.jsonl", '{"a": 1}\n{"b"'), ("a.jsonl", '{"a": 1}')]:
            with self.subTest(content=content):
                self.assertNotEqual(self.judge(name, content), [])


class OfLogins(unittest.TestCase):
    def lost(self, *faults_that_lose):
        outcomes = [trial.Outcome("refresh", fault, 74, is_lost=True) for fault in faults_that_lose]
        return [outcome.fault for outcome in trial.not_borne(outcomes)]

    def test_only_the_answers_reads_and_one_write_may_lose_a_login(self):
        read = [Fault("recvfrom", "KILL", 1, "socket"), Fault("recvfrom", "ECONNRESET", 1, "socket"), Fault("epoll_wait", "KILL", 2)]
        write, second = Fault("pwrite64", "KILL", 3, "file"), Fault("write", "KILL", 4, "file")
        self.assertEqual(self.lost(*read, write), [])
        self.assertEqual(self.lost(write, second), [second])
        for fault in [Fault("pwrite64", "EIO", 3, "file"), Fault("fsync", "KILL", 1, "file"), Fault("write", "KILL", 1, "socket")]:
            self.assertEqual(self.lost(fault), [fault])

    def test_the_server_takes_a_refresh_token_once_and_ends_the_grant_at_its_second_use(self):
        state = State()
        first = state.log_in()
        request = types.SimpleNamespace(path="/token", form=lambda: {
            "grant_type": "refresh_token", "refresh_token": first["refresh_token"]})
        self.assertIn(b" 200 ", state.answer(request))
        self.assertTrue(state.is_active("canary-access-2") and state.can_refresh("canary-refresh-2"))
        self.assertIn(b"invalid_grant", state.answer(request))
        self.assertFalse(state.is_active("canary-access-2") or state.can_refresh("canary-refresh-2"))


class OfTraces(unittest.TestCase):
    def words(self, *calls):
        return [fault.words() for fault in trace(*calls).faults()]

    def test_ordinals_count_from_the_start_and_faults_from_main(self):
        found = self.words('1 read(4</top/a>, "", 8) = 0')
        self.assertEqual(found, ["read EIO 2", "read EINTR 2"])

    def test_what_another_program_does_is_not_tried(self):
        self.assertEqual(self.words('1 execve("/bin/sh", [], 0x1) = 0', '1 read(4</top/a>, "", 8) = 0'),
                         ["execve EACCES 2", "execve ENOMEM 2", "execve KILL 2"])

    def test_a_thread_is_reached_by_the_file_that_it_reads(self):
        self.assertEqual(self.words('2 read(4</top/a>, "", 8) = 0'), ["read EIO 1@/a", "read EINTR 1@/a"])
        self.assertEqual(self.words('1 read(4</top/a>, "", 8) = 0', '2 read(4</top/a>, "", 8) = 0'), ["read EIO 2", "read EINTR 2"])

    def test_the_errors_fit_what_the_call_is_on(self):
        self.assertEqual(self.words("1 write(4<anon_inode:[eventfd]>, 1, 8) = 8"), ["write KILL 1"])
        self.assertNotIn("write ENOSPC 1", self.words('1 write(4<socket:[1]>, "", 1) = 1'))
        self.assertEqual(self.words("1 fcntl(4</top/a>, F_GETFD) = 0"), [])
        self.assertEqual(self.words("1 fcntl(4</top/a>, F_DUPFD_CLOEXEC, 3) = 5"), ["fcntl EMFILE 1"])

    def test_a_sample_has_one_of_each_kind_and_what_it_must(self):
        found = trace(*['1 read(4</top/a>, "", 8) = 0'] * 6, '1 connect(5<socket:[1]>, 0x1, 16) = 0',
                      '1 lseek(4</top/a>, 0, SEEK_SET) = 0').faults()
        chosen = [fault.words() for fault in faults.Sample(100).of(found, ())]
        self.assertEqual(chosen, ["read EIO 2", "read EINTR 2", "connect ECONNREFUSED 1", "connect ENETUNREACH 1", "connect EINTR 1",
                                  "connect KILL 1", "lseek EIO 1"])
        after = [fault.words() for fault in faults.after_connection(found)]
        self.assertEqual(len(after), 5)
        twice = trace('1 connect(5<socket:[1]>, {sa_family=AF_INET}, 16) = 0', '1 connect(6<socket:[2]>, {sa_family=AF_INET}, 16) = 0',
                      '1 connect(7<socket:[3]>, {sa_family=AF_UNIX}, 16) = 0').faults()
        last = [fault.words() for fault in twice if fault in faults.after_last_connection(twice)]
        self.assertEqual(last, [f"connect {error} {number}" for number in (2, 3)
                                for error in ("ECONNREFUSED", "ENETUNREACH", "EINTR", "KILL")])
        again = faults.Sample(100)
        again.of(found, ())
        self.assertEqual(len(again.of(found, faults.after_connection(found))), 6)
