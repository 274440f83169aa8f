"""Which faults a program can meet: one for each system call that it makes and each error that fits it."""
import collections
import dataclasses
import json
import pathlib
import re

KILL = "KILL"

_TABLE = json.loads((pathlib.Path(__file__).parent.parent / "data" / "faults.json").read_text())
_CALL = re.compile(r"^(\d+) +([a-z_0-9]+)\((.*)")
# Rust's runtime installs its last handler just before it calls main.
_MAIN = re.compile(r"rt_sigaction\(SIGBUS, \{")
_DESCRIPTOR = re.compile(r"^\d+<(?:(socket|TCP|UNIX)|anon_inode:\[(eventfd)\]|(/[^>]*))")
# Calls that bring what a server answers, or wait for it.
_READS = {"recvfrom", "epoll_wait", "epoll_pwait"}
_WRITES = {"write", "writev", "pwrite64", "pwritev"}


@dataclasses.dataclass(frozen=True)
class Fault:
    """The `ordinal`-th call of a name fails by `error`, or the program is killed before it.

    strace counts the calls of each thread by itself, from its start. A call of the first thread is hit in that one alone. To
    hit a call of another, all threads are followed: then `ordinal` counts, in each thread, the calls on the file `path` if it
    is on one, else all of that name; and a call that would be hit in the first thread too is left out.
    """

    call: str
    error: str
    ordinal: int
    # What it is on: "socket", "eventfd", "file", or nothing.
    kind: str = ""
    in_thread: bool = False
    path: str = ""

    @property
    def is_kill(self):
        return self.error == KILL

    @property
    def is_at_answer(self):
        """True for a call that brings what a server answers, or waits for it: what it loses nobody can keep."""
        return self.call in _READS or (self.call in ("read", "readv") and self.kind == "socket")

    @property
    def is_write(self):
        return self.call in _WRITES and self.kind == "file"

    def options(self, top):
        """The options of strace that inject it, for a home below `top`."""
        how = "signal=KILL" if self.is_kill else f"error={self.error}"
        threads = ["-f"] if self.in_thread else []
        path = ["-P", f"{top}{self.path}"] if self.path else []
        inject = ["-e", f"trace={self.call}", "-e", f"inject={self.call}:{how}:when={self.ordinal}"]
        return ["-y", *threads, *path, *inject]

    def words(self):
        """How it is named on the command line."""
        where = f"@{self.path}" if self.path else "@thread" if self.in_thread else ""
        return f"{self.call} {self.error} {self.ordinal}{where}"

    def is_met(self, trace):
        """True if a trace of the run shows that it was injected, and on the kind of file that it was meant for."""
        for line in trace.splitlines():
            if self.is_kill and "+++ killed by SIGKILL" in line:
                return True
            if "(INJECTED)" in line:
                return ("anon_inode:[eventfd]" in line) == (self.kind == "eventfd")
        return False


@dataclasses.dataclass(frozen=True)
class Call:
    """A system call as strace wrote it down."""

    thread: int
    name: str
    # Among the calls of that name in its thread, and among those on the same path.
    ordinal: int
    ordinal_on_path: int
    kind: str
    path: str
    text: str


class Trace:
    """The calls of `strace -f -y`, from the start of main to the end or the start of another program."""

    def __init__(self, text, top):
        self.calls, self.first = [], None
        # What the first thread has called, by name and, for paths, by both; those before main included.
        self.first_counts = collections.Counter()
        counts, state = collections.Counter(), {}
        for line in text.splitlines():
            if match := _CALL.match(line):
                self._add(match, line, top, counts, state)

    def _add(self, match, line, top, counts, state):
        thread, name, text = int(match[1]), match[2], match[3]
        if self.first is None:
            self.first, state[thread] = thread, "before main"
        kind, path = _kind_of(name, text, top)
        keys = [(thread, name), (thread, name, path)]
        counts.update(keys)
        if thread == self.first:
            self.first_counts.update(key[1:] for key in keys)
        if state.get(thread) in (None, "main"):
            self.calls.append(Call(thread, name, counts[keys[0]], counts[keys[1]], kind, path, text))
            if name == "execve" and "= -1 " not in text:
                state[thread] = "another program"
        elif _MAIN.search(line):
            state[thread] = "main"

    def faults(self, kill_everywhere=False):
        """The faults that these calls can meet, with the call of each, in the order of the calls."""
        found = {}
        for call in self.calls:
            place = self._place(call)
            if place is None:
                continue
            for error in _errors(call, kill_everywhere):
                found[Fault(call.name, error, kind=call.kind, **place)] = call
        return found

    def _place(self, call):
        if call.thread == self.first:
            return {"ordinal": call.ordinal}
        ordinal = call.ordinal_on_path if call.path else call.ordinal
        key = (call.name, call.path) if call.path else (call.name,)
        if self.first_counts[key] >= ordinal:
            return None
        return {"ordinal": ordinal, "in_thread": True, "path": call.path}


def _kind_of(name, text, top):
    """What a call is on, and the file's path below the top, if it is there."""
    if name == "fcntl":
        return text.split(", ")[1].rstrip(")").split(")")[0], ""
    match = _DESCRIPTOR.match(text)
    if not match:
        return "", ""
    if match[3]:
        return "file", match[3].removeprefix(str(top)) if match[3].startswith(str(top)) else ""
    return "socket" if match[1] else "eventfd", ""


def _errors(call, kill_everywhere):
    table = _TABLE["errors"]
    errors = table.get(f"{call.name} {call.kind}", table.get(call.name, []))
    return [*errors, KILL] if kill_everywhere or call.name in _TABLE["kills"] else errors


class Sample:
    """Every `every`-th fault, and the first of each call and error over all scenarios."""

    def __init__(self, every):
        self.every, self._seen = every, set()

    def of(self, found, always):
        """The faults of one scenario; `always` names those that are never left out."""
        chosen = {}
        for place, (fault, call) in enumerate(found.items()):
            kind = (fault.call, fault.kind, fault.error)
            if place % self.every == 0 or kind not in self._seen or fault in always:
                chosen[fault] = call
            self._seen.add(kind)
        return chosen


def after_connection(found):
    """The faults at the first connection to a server and after it: where what the server gives can be lost."""
    listed = list(found)
    first = next((place for place, fault in enumerate(listed) if fault.call == "connect"), len(listed))
    return set(listed[first:])


def after_last_connection(found):
    """The faults at the last connection to a server, which is not the keyring, and after it."""
    listed = list(found.items())
    places = [place for place, (fault, call) in enumerate(listed) if fault.call == "connect" and "AF_INET" in call.text]
    # Those of one call stand together.
    last = places[-1] - sum(listed[place][1] is listed[places[-1]][1] for place in places[:-1]) if places else len(listed)
    return {fault for fault, _ in listed[last:]}
