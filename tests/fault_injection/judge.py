"""What must hold of every run, whatever failed in it."""
import json
import re
import stat

from .server import KEY, PREFIX

# The programs' own exit codes; 70 says that an invariant of theirs broke.
EXITS = {0, 1, 64, 65, 66, 69, 74, 75, 76, 77, 78}
SECRETS = (KEY, PREFIX)
_FROM_WITHIN = re.compile(r"panicked|internal error|RUST_BACKTRACE|\.rs\b|/rustc/|/cargo/|src/|memory allocation|\(os error|zbus|hyper|reqwest|serde|tokio")
_LATE = re.compile(r"(did not answer|no answer|no connection|not done|has not ended) within")
# What an exit has to be where the machine is out of something.
_LIMITS = {"EMFILE": 75, "EAGAIN": 75, "ENOMEM": 75, "ENOSPC": 74}
# What a message has to say of the error that it is about: another reason leads people astray.
_NAMES = {"EMFILE": "open files", "EAGAIN": "process", "ENOMEM": "memory|process", "ENOSPC": "space", "EACCES": "permission denied",
          "EIO": "input/output error", "EPERM": "not permitted", "EBUSY": "busy", "EXDEV": "cross-device", "ENOLCK": "locks"}


def of_run(scenario, run, fault=None):
    """What is wrong with exit code and streams. Without a fault the run has to be good."""
    if run.code is None:
        return ["it hangs"]
    found = []
    if any(secret in run.stderr for secret in SECRETS):
        found.append(f"a secret on stderr: {run.stderr!r}")
    if not scenario.prints_secret and any(secret in run.stdout for secret in SECRETS):
        found.append(f"a secret on stdout: {run.stdout!r}")
    if within := _FROM_WITHIN.search(run.stderr):
        found.append(f"words from within ({within[0]!r}): {run.stderr!r}")
    if fault is None:
        return found + ([] if run.code == 0 else [f"exit {run.code}: {run.stderr!r}"])
    if fault.is_kill:
        # Another thread or program of the run may be what was killed.
        return found + ([f"exit 70: {run.stderr!r}"] if run.code == 70 else [])
    return found + _of_exit(scenario, run, fault)


def is_late(run):
    """True if a run ended by a limit of time, which is right, and on a busy machine says nothing of the fault."""
    return run.code == 75 and _LATE.search(run.stderr) is not None


def _of_exit(scenario, run, fault):
    if run.code == 0:
        return []
    found = []
    if run.code not in EXITS and run.code not in scenario.more_exits:
        found.append(f"exit {run.code}: {run.stderr!r}")
    elif fault.error == "EINTR" and fault.kind != "socket":
        found.append(f"exit {run.code} by an interrupted call: {run.stderr!r}")
    elif run.code != _LIMITS.get(fault.error, run.code):
        found.append(f"exit {run.code} by {fault.error}: {run.stderr!r}")
    elif (fault.error, run.code) == ("EIO", 77):
        found.append(f"no login helps a disk that cannot be read: {run.stderr!r}")
    elif not (fault.in_thread or fault.call == "write" or re.search(_NAMES.get(fault.error, ""), run.stderr)):
        found.append(f"{fault.error} is not named: {run.stderr!r}")
    if not re.match(r"(qwen-[a-z]+|/)[^\n]*: ", run.stderr) and fault.call != "write":
        found.append(f"exit {run.code} without a message: {run.stderr!r}")
    if scenario.on_failure and run.stdout != scenario.on_failure and fault.call != "write":
        found.append(f"exit {run.code}, and stdout is {run.stdout!r}")
    return found


def of_files(world, scenario, leftovers, said=""):
    """What is wrong with the files. `leftovers`: whether a writer that was cut short may have left some of its own. `said`: what
    the run has said, which may be that it keeps a login in such a file until it can be stored."""
    found = []
    for path in sorted(world.here.rglob("*")):
        if not path.is_file():
            continue
        name, content = str(path.relative_to(world.here)), path.read_bytes().decode(errors="replace")
        if any(secret in content for secret in SECRETS):
            is_leftover = any(name.startswith(f"{own}.") for own in scenario.own)
            is_told = f"is kept in '{path}'" in said
            if name not in scenario.own and not (is_leftover and (leftovers or is_told)):
                found.append(f"a secret is left in '{name}'")
            if stat.S_IMODE(path.stat().st_mode) & 0o077:
                found.append(f"others can read '{name}'")
        if fault := _not_whole(path, content):
            found.append(f"'{name}' is not whole: {fault}")
    return found


def _not_whole(path, content):
    try:
        if path.suffix == ".json":
            json.loads(content)
        elif path.suffix == ".jsonl":
            for line in content.splitlines():
                json.loads(line)
            if content and not content.endswith("\n"):
                return "its last line has no end"
    except ValueError as error:
        return f"{error}: {content!r}"
    return None
