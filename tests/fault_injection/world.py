"""A home of its own in which programs run, with a server of its own."""
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

from .keyring import Keyring
from .server import Server

# What no run takes. It is no measure: a program that runs so long hangs.
LIMIT = 240


@dataclasses.dataclass(frozen=True)
class Run:
    """What came of a program. `code` is None for one that had to be ended."""

    code: int | None
    stdout: str
    stderr: str
    trace: str = ""


class World:
    """A home, a working directory and a server. All paths stay the same when it is put back to an earlier state."""

    def __init__(self, root, programs):
        self.root, self.programs = pathlib.Path(root), pathlib.Path(programs).resolve()
        self.here = self.root / "here"
        self.home, self.work = self.here / "home", self.here / "work"
        self.server, self._keyring = Server(), None
        self._saved = None
        self.clear()

    def clear(self):
        """Makes it new: empty directories and a server that knows nothing."""
        self._remove_all()
        for directory in ("home/.config/qwen/credentials", "home/.local/state", "home/.cache", "work", "run"):
            (self.here / directory).mkdir(parents=True)
        for directory in ("run", "home/.config/qwen", "home/.config/qwen/credentials"):
            (self.here / directory).chmod(0o700)
        self.server.restore(type(self.server.state)())
        if self._keyring:
            self._keyring.restore({})

    def save(self):
        """Remembers files and server as they are now."""
        self.server.settle()
        saved = self.root / "saved"
        shutil.rmtree(saved, ignore_errors=True)
        shutil.copytree(self.here, saved, symlinks=True)
        self._saved = saved, self.server.snapshot(), self._keyring and self._keyring.items()

    def restore(self):
        """Puts files and server back to what was saved."""
        saved, state, items = self._saved
        self._remove_all()
        shutil.copytree(saved, self.here, symlinks=True)
        self.server.restore(state)
        if self._keyring:
            # None: it has been started since.
            self._keyring.restore(items or {})

    def _remove_all(self):
        """A program whose parent was killed may still be at work, and make a file while its directory is removed."""
        end = time.monotonic() + LIMIT
        while self.here.exists():
            try:
                shutil.rmtree(self.here)
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)

    @property
    def keyring(self):
        """A Secret Service of its own, started when it is first asked for."""
        if self._keyring is None:
            self._keyring = Keyring(self.root / "keyring")
        return self._keyring

    def close(self):
        if self._keyring:
            self._keyring.close()
        self.server.close()
        shutil.rmtree(self.root, ignore_errors=True)

    def write(self, path, content):
        """Writes a file of mode 0600; a path is below the top, and what is no text is written as JSON."""
        file = self.here / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content, indent=2))
        file.chmod(0o600)

    def read(self, path):
        """The text of a file; None where there is none."""
        file = self.here / path
        return file.read_text() if file.is_file() else None

    def read_json(self, path):
        text = self.read(path)
        return None if text is None else json.loads(text)

    def run(self, command, options=None):
        """Runs a command, under strace with these options if there are any, in a session without a terminal."""
        program, *words = (word.replace("{server}", self.server.url()) for word in command.argv)
        argv = [str(self.programs / program), *words]
        trace = self.root / "trace"
        if options is not None:
            trace.unlink(missing_ok=True)
            argv = ["/usr/bin/strace", "-o", str(trace), *options, "--", *argv]
        child = subprocess.Popen(
            argv, cwd=self.here / command.directory, env=self._environment(command), start_new_session=True, text=True,
            errors="replace", stdin=subprocess.PIPE if command.stdin else subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        try:
            stdout, stderr = child.communicate(command.stdin or None, timeout=LIMIT)
            code = child.returncode
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            stdout, stderr = child.communicate()
            code = None
        written = trace.read_text(errors="replace") if options is not None else ""
        return Run(code if code is None or code >= 0 else 128 - code, stdout, stderr, written)

    @property
    def issued_when_saved(self):
        return self._saved[1].issued

    def _environment(self, command):
        home = str(self.home)
        return {
            "HOME": home, "XDG_CONFIG_HOME": f"{home}/.config", "XDG_STATE_HOME": f"{home}/.local/state",
            "XDG_CACHE_HOME": f"{home}/.cache", "XDG_RUNTIME_DIR": str(self.here / "run"),
            "PATH": f"{self.programs}:/usr/bin:/bin", "LC_ALL": "C.UTF-8",
            **({"DBUS_SESSION_BUS_ADDRESS": self.keyring.address} if command.with_keyring else {}),
        }


@dataclasses.dataclass(frozen=True)
class Command:
    """A command line; `{server}` in a word stands for the server's address."""

    argv: tuple
    stdin: str = ""
    directory: str = "work"
    # Whether a keyring answers; else there is none.
    with_keyring: bool = False
