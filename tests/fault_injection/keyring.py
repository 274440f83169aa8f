"""A Secret Service on a bus of its own: tests/peers/keyring."""
import os
import pathlib
import subprocess

_PROGRAM = pathlib.Path(__file__).parent.parent / "peers" / "keyring"
# The names under which the scenarios keep their secrets.
_USERS = ("lab", "default")
# On a busy machine the bus may give up a call.
_TRIES = 5


class Keyring:
    """An unlocked keyring."""

    def __init__(self, directory):
        environment = os.environ | {"KR": "unlocked", "KRDIR": str(directory)}
        self._process = subprocess.Popen([_PROGRAM], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.address = self._process.stdout.readline().removeprefix("listening ").strip()
        if not self.address:
            raise RuntimeError("the keyring did not start")

    def store(self, user, secret):
        for _ in range(_TRIES):
            if self._tool("store", user, "--label=test", input=secret).returncode == 0:
                return
        raise RuntimeError(f"the keyring did not take what is {user}'s")

    def lookup(self, user):
        """The secret of that name, or None."""
        return self._tool("lookup", user).stdout or None

    def items(self):
        return {user: secret for user in _USERS if (secret := self.lookup(user))}

    def restore(self, items):
        for user in _USERS:
            if user in items:
                self.store(user, items[user])
            else:
                self._tool("clear", user)

    def close(self):
        # Not killed: it has a daemon and a bus to end.
        self._process.terminate()
        self._process.wait()

    def _tool(self, word, user, *options, **how):
        attributes = ["service", "qwen-toolkit", "username", user]
        environment = os.environ | {"DBUS_SESSION_BUS_ADDRESS": self.address}
        return subprocess.run(["secret-tool", word, *options, *attributes], env=environment, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, **how)
