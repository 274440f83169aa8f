"""The main job of each program: how its home looks before, what is run, and what must be there when it exits 0."""
import dataclasses
import json
import subprocess
import time
from collections.abc import Callable

from .server import KEY
from .world import Command

CONFIG = "home/.config/qwen/config.json"
CREDENTIALS = "home/.config/qwen/credentials"
LOGIN, STORED_KEY = f"{CREDENTIALS}/lab.json", f"{CREDENTIALS}/default.json"
# Where the login is once the profile has another name.
RENAMED_LOGIN = f"{CREDENTIALS}/work.json"
SESSION = "home/.local/state/qwen/sessions/s.json"
SHARED_LOGIN = "home/.qwen/oauth_creds.json"
# Where what a server answered is kept until it is stored.
OWN_LOGIN = (LOGIN, f"{LOGIN}.journal")
OWN_SHARED_LOGIN = (SHARED_LOGIN, "home/.qwen/oauth_creds.qwen-toolkit.journal")
# Where an approved login is kept until it is stored; more follows in the name.
APPROVED = f"{CREDENTIALS}/logins/lab"
NEW_KEY = f"{CREDENTIALS}/logins/default"
KEYRING_JOURNAL = f"{CREDENTIALS}/lab.keyring.journal"
KEY_FILE = "home/.key"
ENV = "work/.env"
OUT = "work/out.jsonl"


def _nothing(*_):
    return None


@dataclasses.dataclass(frozen=True)
class Scenario:
    """One command that is run with a fault, and once more without."""

    name: str
    command: Command
    # Makes the home that the command finds.
    prepare: Callable
    # What is wrong with a run that exited 0, or None. Takes the world, the run, and what `remember` returned.
    expect: Callable
    # Files that may hold a secret.
    own: tuple = ()
    # Whether a secret may be on stdout.
    prints_secret: bool = False
    # What stdout holds when the run fails, where that is not nothing.
    on_failure: str = ""
    # Looks at the world between the run with the fault and the one without.
    remember: Callable = _nothing
    # True where a server may give a login that must not be lost.
    gets_login: bool = False
    # Exit codes that are the programs' which it runs.
    more_exits: tuple = ()
    # A program that may not be there yet.
    needs: str = ""
    # Kills it at every call, not at those of the table alone.
    kill_everywhere: bool = False
    # Leaves out the faults before the last connection to a server, which are another scenario's.
    from_last_connection: bool = False
    # What is there before the run may stay where the run fails.
    may_stay: bool = False
    # Takes the world and returns the command that is run after the one with the fault, where that is not the same.
    again: Callable | None = None


def _endpoint(world):
    return {"provider": "custom", "method": "api-key", "base_url": world.server.url("/v1"), "model": "m-1",
            "key": {"store": "file"}, "rate": {"per_minute": 6000, "per_day": 100000}}


def _oauth(world):
    url = world.server.url
    return {"provider": "custom", "method": "oauth", "base_url": url("/v1"), "model": "m-1", "key": {"store": "file"},
            "oauth": {"device_authorization_endpoint": url("/device"), "token_endpoint": url("/token"),
                      "revocation_endpoint": url("/revoke"), "client_id": "toolkit", "scope": "openid",
                      "allowed_hosts": ["127.0.0.1"]}}


def _with_key(world):
    world.write(CONFIG, {"theme": "dark", "default_profile": "default", "profiles": {"default": _endpoint(world)}})
    world.write(STORED_KEY, {"method": "api-key", "api_key": KEY})


def _without_login(world):
    world.write(CONFIG, {"theme": "dark", "default_profile": "lab",
                         "profiles": {"lab": _oauth(world), "default": _endpoint(world)}})


def _logged_in(expires_in):
    def prepare(world):
        _without_login(world)
        now = int(time.time() * 1000)
        answer = world.server.state.log_in()
        world.write(LOGIN, {"method": "oauth", "access_token": answer["access_token"],
                            "refresh_token": answer["refresh_token"], "token_type": "Bearer",
                            "expires_at": now + expires_in * 1000, "issued_at": now - 3600_000})
    return prepare


def _shares_login(expires_in):
    """The login is Qwen Code's, in its file."""
    def prepare(world):
        profile = _oauth(world) | {"provider": "qwen"}
        world.write(CONFIG, {"default_profile": "lab", "profiles": {"lab": profile}})
        answer = world.server.state.log_in()
        world.write(SHARED_LOGIN, {"access_token": answer["access_token"], "refresh_token": answer["refresh_token"],
                                   "token_type": "Bearer", "resource_url": "127.0.0.1",
                                   "expiry_date": int(time.time() + expires_in) * 1000})
    return prepare


def _login_of_qwen_code(world):
    """Qwen Code is logged in, and the toolkit has no profile."""
    _shares_login(3600)(world)
    (world.here / CONFIG).unlink()


def _imported(world, _run, _):
    config, stored = world.read_json(CONFIG), world.read_json(SHARED_LOGIN) or {}
    if not world.server.state.can_refresh(stored.get("refresh_token")):
        return "the login of Qwen Code is gone"
    profile = (config or {}).get("profiles", {}).get("qwen", {})
    return None if profile.get("method") == "oauth" else f"config: {config}"


def _without_shared_login(world):
    profile = _oauth(world) | {"provider": "qwen"}
    world.write(CONFIG, {"theme": "dark", "default_profile": "lab", "profiles": {"lab": profile}})


def _login_left(world):
    """A login was killed when it was approved and before it was stored: at the first rename after that."""
    names = "rename,renameat,renameat2"
    for ordinal in range(1, 20):
        _without_login(world)
        world.run(LOGIN_ALONE, ["-e", f"trace={names}", "-e", f"inject={names}:signal=KILL:when={ordinal}"])
        world.server.settle()
        if world.server.state.issued and any(world.here.joinpath(CREDENTIALS, "logins").glob("lab.*")):
            return
    raise RuntimeError("no login was left")


def _with_key_command(world):
    profile = _endpoint(world) | {"key": {"command": ["/bin/cat", str(world.here / KEY_FILE)]}}
    world.write(CONFIG, {"default_profile": "default", "profiles": {"default": profile}})
    world.write(KEY_FILE, f"{KEY}\n")


def _in_keyring(expires_in):
    """The login is in the keyring."""
    def prepare(world):
        _logged_in(expires_in)(world)
        config = world.read_json(CONFIG)
        config["profiles"]["lab"]["key"]["store"] = "keyring"
        world.write(CONFIG, config)
        world.keyring.store("lab", world.read(LOGIN))
        (world.here / LOGIN).unlink()
    return prepare


def _env_files(world):
    world.write(ENV, f'OPENAI_API_KEY={KEY}\nOPENAI_BASE_URL=http://127.0.0.1:9/v1\nOPENAI_MODEL=m-1\nGREETING="hello  world"\n')
    (world.work / "a" / "b").mkdir(parents=True)


def _with_key_of_project(world):
    """The project names key and endpoint; a profile would lead elsewhere."""
    _with_key(world)
    config = world.read_json(CONFIG)
    config["profiles"]["default"]["base_url"] = world.server.url("/other/v1")
    world.write(CONFIG, config)
    world.write(ENV, f"OPENAI_API_KEY={KEY}\nOPENAI_BASE_URL={world.server.url('/v1')}\nOPENAI_MODEL=m-1\n")


def _with_key_of_qwen_code(world):
    """The settings of Qwen Code name key and endpoint; a profile would lead elsewhere, were it the default."""
    provider = {"id": "m-1", "name": "m-1", "baseUrl": world.server.url("/v1"), "envKey": "LAB_KEY"}
    world.write("home/.qwen/settings.json", {
        "env": {"LAB_KEY": KEY}, "modelProviders": {"openai": [provider]},
        "security": {"auth": {"selectedType": "openai"}}, "model": {"name": "m-1"}})


def _trusted(world):
    _env_files(world)
    run = world.run(Command(("qwen-env", "--trust", "../../.env", "--yes"), directory="work/a/b"))
    if run.code != 0:
        raise RuntimeError(run)


VARIABLES = f"{KEY}|http://127.0.0.1:9/v1|m-1|hello  world\n"
SHOW = 'printf "%s|%s|%s|%s\\n" "$OPENAI_API_KEY" "$OPENAI_BASE_URL" "$OPENAI_MODEL" "$GREETING"'


def _evaluated(world, run):
    """The variables that a shell has after it has evaluated what a run printed."""
    return subprocess.run(["sh", "-c", f'eval "$1"; {SHOW}', "sh", run.stdout], cwd=world.work, env={}, text=True,
                          capture_output=True, check=False).stdout


def _exports_all(world, run, _):
    return None if (shown := _evaluated(world, run)) == VARIABLES else f"the shell has {shown!r}"


def _exports_auth(world, run, _):
    wanted = f"{KEY}|{world.server.url('/v1')}|m-1|\n"
    return None if (shown := _evaluated(world, run)) == wanted else f"the shell has {shown!r}"


def _trusts(world, _run, _):
    run = world.run(Command(("qwen-env", "--shell", "sh"), directory="work/a/b"))
    if run.code != 0:
        return f"qwen-env: {run}"
    return _exports_all(world, run, None)


def _prints(text):
    return lambda _world, run, _: None if run.stdout == text else f"stdout is {run.stdout!r}"


def _prints_valid_token(world, run, _):
    return None if world.server.state.is_active(run.stdout.strip()) else f"this opens nothing: {run.stdout!r}"


def _keeps_login(world):
    stored = world.read_json(LOGIN)
    return stored is not None and world.server.state.can_refresh(stored["refresh_token"])


def _key_is_stored(world, _run, _):
    stored, config = world.read_json(STORED_KEY), world.read_json(CONFIG)
    if stored is None or stored.get("api_key") != KEY:
        return "the key is not stored"
    profile = (config or {}).get("profiles", {}).get("default", {})
    return None if profile.get("base_url") == world.server.url("/v1") else f"the profile is {profile}"


def _logged_in_now(world, _run, _):
    if not _keeps_login(world):
        return "the login is not stored"
    config = world.read_json(CONFIG)
    return None if config["theme"] == "dark" and set(config["profiles"]) == {"lab", "default"} else f"config: {config}"


def _logged_in_keyring(world, _run, _):
    stored = json.loads(world.keyring.lookup("lab") or "{}")
    if not world.server.state.can_refresh(stored.get("refresh_token")):
        return "the login is not in the keyring"
    profile = world.read_json(CONFIG)["profiles"]["lab"]
    return None if profile["key"] == {"store": "keyring"} and world.read(LOGIN) is None else f"profile: {profile}"


def _logged_in_shared(world, _run, _):
    stored = world.read_json(SHARED_LOGIN) or {}
    return None if world.server.state.can_refresh(stored.get("refresh_token")) else "the login is not in Qwen Code's file"


def _in_use(world, _run, _):
    config = world.read_json(CONFIG)
    good = config["default_profile"] == "default" and config["theme"] == "dark" and config["profiles"]["lab"] == _oauth(world)
    return None if good else f"config: {config}"


RENAME = Command(("qwen-auth", "rename", "lab", "work"))


def _rename_again(world):
    """A rename that has been done cannot be done again."""
    is_done = "work" in world.read_json(CONFIG)["profiles"]
    return Command(("qwen-token", "--check", "--profile", "work")) if is_done else RENAME


def _renamed(world, _run, _):
    config = world.read_json(CONFIG)
    if set(config["profiles"]) != {"work", "default"} or config["default_profile"] != "work":
        return f"config: {config}"
    stored = world.read_json(RENAMED_LOGIN) or {}
    return None if world.server.state.can_refresh(stored.get("refresh_token")) else "the login did not go along"


def _login_is_somewhere(world):
    """For what may not be whatever the exit: a rename that loses the login."""
    stored = [world.read_json(path) or {} for path in (LOGIN, RENAMED_LOGIN)]
    if not any(world.server.state.can_refresh(login.get("refresh_token")) for login in stored):
        raise ValueError("the login is under neither name")


def _model_is_set(world, _run, _):
    profiles = world.read_json(CONFIG)["profiles"]
    good = profiles["lab"] == _oauth(world) | {"model": "m-2"} and profiles["default"] == _endpoint(world)
    return None if good and _keeps_login(world) else f"profiles: {profiles}"


def _shows_status(world, run, _):
    status = json.loads(run.stdout)
    good = (status["profile"], status["state"], status["endpoint"]) == ("lab", "valid", world.server.url("/v1"))
    return None if good else f"status: {status}"


def _logged_out(world, _run, _):
    left = [name for name in OWN_LOGIN if world.read(name) is not None]
    return f"still there: {left}" if left else None


def _kept(world):
    return [message["content"] for message in (world.read_json(SESSION) or {}).get("messages", [])]


def _goes_on(prompt, first):
    """A turn was added to the conversation that was kept before: `first`, or what the run with the fault left."""
    def expect(world, run, before):
        before = first if before is None else before
        answer = f"heard {len(before) + 1}: {prompt}"
        if run.stdout != f"{answer}\n":
            return f"stdout is {run.stdout!r}"
        kept = _kept(world)
        return None if kept == [*before, prompt, answer] else f"the session holds {kept}"
    return expect


def _first_turn(world):
    _with_key(world)
    run = world.run(CHAT_ONE)
    if run.code != 0:
        raise RuntimeError(run)


def _questions(numbers):
    return "".join(json.dumps({"custom_id": f"q{number}", "prompt": f"p{number}"}) + "\n" for number in numbers)


def _answers(world):
    """The names of the questions that OUT has a good answer to, each as often as it has one."""
    records = [json.loads(line) for line in (world.read(OUT) or "").splitlines()]
    return sorted(record["custom_id"] for record in records if (record["response"] or {}).get("status_code") == 200)


def _batch(world):
    _with_key(world)
    world.write("work/in.jsonl", _questions(range(4)))


def _batch_logged_in(world):
    _logged_in(-1)(world)
    world.write("work/in.jsonl", _questions(range(4)))


def _batch_half_done(world):
    _batch(world)
    world.write("work/in.jsonl", _questions(range(2)))
    run = world.run(BATCH)
    if run.code != 0:
        raise RuntimeError(run)
    world.write("work/in.jsonl", _questions(range(4)))


def _asked_so_far(world):
    return _answers(world), dict(world.server.state.asked)


def _all_answered(world, _run, before):
    answers = _answers(world)
    if answers != ["q0", "q1", "q2", "q3"]:
        return f"OUT has {answers}"
    answered, asked = before or ([], {})
    twice = [name for name in answered if world.server.state.asked[f"p{name[1:]}"] != asked[f"p{name[1:]}"]]
    return f"asked again: {twice}" if twice else None


def _submitted(world, run, _):
    """Every batch still has its whole input, and what was printed names one."""
    api = world.server.state.batch_api
    for batch in api.batches.values():
        lines = api.files.get(batch["input_file_id"], b"").decode().splitlines()
        if [json.loads(line)["custom_id"] for line in lines] != ["q0", "q1", "q2", "q3"]:
            return f"the input of {batch['id']} is gone or cut"
    return None if run.stdout.strip() in api.batches else f"stdout is {run.stdout!r}"


def _input_of_each_batch(world):
    """For what may be wrong whatever the exit: a batch whose input was deleted costs money and gives nothing."""
    api = world.server.state.batch_api
    for batch in api.batches.values():
        if batch["input_file_id"] not in api.files:
            raise ValueError(f"the input of {batch['id']} was deleted")


def _batch_completed(world):
    _with_key(world)
    api = world.server.state.batch_api
    lines = [{"custom_id": f"q{number}", "method": "POST", "url": "/v1/chat/completions",
              "body": {"model": "m-1", "messages": [{"role": "user", "content": f"p{number}"}]}} for number in range(4)]
    api.complete(api.submit(api.add_file("".join(json.dumps(line) + "\n" for line in lines).encode())))


def _fetched(world, _run, _):
    return None if (answers := _answers(world)) == ["q0", "q1", "q2", "q3"] else f"OUT has {answers}"


CHAT = Command(("qwen-chat", "--no-stdin", "hi"))
CHAT_ONE = Command(("qwen-chat", "--no-stdin", "--session", "s", "one"))
CHAT_TWO = Command(("qwen-chat", "--no-stdin", "--session", "s", "two"))
BATCH = Command(("qwen-batch", "run", "in.jsonl", "-o", "out.jsonl", "-j", "2"))
LOGIN_BY_KEY = Command(("qwen-login", "--with-key", "--store", "file", "--base-url", "{server}/v1", "--model", "m-1"), f"{KEY}\n")
LOGIN_BY_DEVICE = Command(("qwen-login", "--oauth", "--store", "file", "--no-browser", "--profile", "lab"))
# Without a question to the endpoint at its end.
LOGIN_ALONE = Command((*LOGIN_BY_DEVICE.argv, "--no-verify"))
LOGIN_INTO_KEYRING = Command(("qwen-login", "--oauth", "--store", "keyring", "--no-browser", "--profile", "lab", "--no-verify"),
                             with_keyring=True)
TOKEN = Command(("qwen-token",))
# While the token is still good, for as long as the faults may take.
TOKEN_EARLY = Command(("qwen-token", "--min-ttl", "3300"))
TOKEN_OF_KEYRING = Command(("qwen-token",), with_keyring=True)

SCENARIOS = [
    Scenario("env", Command(("qwen-env", "--shell", "sh"), directory="work/a/b"), _trusted, _exports_all, (ENV,),
             prints_secret=True, on_failure="false;\n"),
    Scenario("env-command", Command(("qwen-env", "--", "sh", "-c", SHOW), directory="work/a/b"), _trusted, _prints(VARIABLES),
             (ENV,), prints_secret=True, more_exits=(126, 127)),
    Scenario("env-auth", Command(("qwen-env", "--shell", "sh", "--auth")), _with_key, _exports_auth, (STORED_KEY,),
             prints_secret=True, on_failure="false;\n"),
    Scenario("env-trust", Command(("qwen-env", "--trust", "../../.env", "--yes"), directory="work/a/b"), _env_files, _trusts,
             (ENV,)),
    Scenario("login-key", LOGIN_BY_KEY, _nothing, _key_is_stored, (STORED_KEY, NEW_KEY)),
    Scenario("login-device", LOGIN_BY_DEVICE, _without_login, _logged_in_now, (*OWN_LOGIN, APPROVED), gets_login=True),
    Scenario("login-again", LOGIN_ALONE, _logged_in(3600), _logged_in_now, (*OWN_LOGIN, APPROVED), gets_login=True,
             kill_everywhere=True, from_last_connection=True),
    Scenario("login-keyring", LOGIN_INTO_KEYRING, _without_login, _logged_in_keyring, (APPROVED, KEYRING_JOURNAL),
             gets_login=True, from_last_connection=True),
    Scenario("login-shared", LOGIN_ALONE, _without_shared_login, _logged_in_shared, (*OWN_SHARED_LOGIN, APPROVED),
             gets_login=True, from_last_connection=True),
    Scenario("login-left", TOKEN, _login_left, _prints_valid_token, (*OWN_LOGIN, APPROVED), prints_secret=True,
             gets_login=True, kill_everywhere=True, may_stay=True),
    Scenario("login-import", Command(("qwen-login", "--import", "--no-verify", "--profile", "qwen")), _login_of_qwen_code, _imported,
             OWN_SHARED_LOGIN),
    Scenario("use", Command(("qwen-auth", "use", "default")), _logged_in(3600), _in_use, OWN_LOGIN),
    Scenario("rename", RENAME, _logged_in(3600), _renamed, (*OWN_LOGIN, RENAMED_LOGIN),
             remember=_login_is_somewhere, again=_rename_again),
    Scenario("set", Command(("qwen-auth", "set", "lab", "model=m-2")), _logged_in(3600), _model_is_set, OWN_LOGIN),
    Scenario("status", Command(("qwen-auth", "status", "--format", "json")), _logged_in(3600), _shows_status, OWN_LOGIN),
    Scenario("token", TOKEN, _logged_in(3600), _prints_valid_token, OWN_LOGIN, prints_secret=True),
    Scenario("refresh", TOKEN, _logged_in(-1), _prints_valid_token, OWN_LOGIN, prints_secret=True,
             gets_login=True, kill_everywhere=True),
    Scenario("refresh-early", TOKEN_EARLY, _logged_in(3000), _prints_valid_token, OWN_LOGIN, prints_secret=True,
             gets_login=True),
    Scenario("refresh-shared", TOKEN, _shares_login(-1), _prints_valid_token, OWN_SHARED_LOGIN, prints_secret=True,
             gets_login=True),
    Scenario("refresh-qwen", Command(("qwen", "token")), _logged_in(-1), _prints_valid_token, OWN_LOGIN, prints_secret=True,
             gets_login=True, more_exits=(126, 127)),
    Scenario("refresh-keyring", TOKEN_OF_KEYRING, _in_keyring(-1), _prints_valid_token, (KEYRING_JOURNAL,), prints_secret=True,
             gets_login=True),
    Scenario("token-command", TOKEN, _with_key_command, _prints(f"{KEY}\n"), (KEY_FILE,), prints_secret=True),
    Scenario("logout", Command(("qwen-auth", "logout", "lab")), _logged_in(3600), _logged_out, (LOGIN,)),
    Scenario("chat", CHAT, _with_key, _prints("heard 1: hi\n"), (STORED_KEY,)),
    Scenario("chat-env", CHAT, _with_key_of_project, _prints("heard 1: hi\n"), (ENV, STORED_KEY)),
    Scenario("chat-settings", CHAT, _with_key_of_qwen_code, _prints("heard 1: hi\n"), ("home/.qwen/settings.json",)),
    Scenario("chat-refresh", CHAT, _logged_in(-1), _prints("heard 1: hi\n"), OWN_LOGIN, gets_login=True),
    Scenario("session", CHAT_ONE, _with_key, _goes_on("one", []), (STORED_KEY,), remember=_kept),
    Scenario("session-on", CHAT_TWO, _first_turn, _goes_on("two", ["one", "heard 1: one"]), (STORED_KEY,), remember=_kept),
    Scenario("batch", BATCH, _batch, _all_answered, (STORED_KEY,), remember=_asked_so_far),
    Scenario("batch-rerun", BATCH, _batch_half_done, _all_answered, (STORED_KEY,), remember=_asked_so_far),
    Scenario("batch-refresh", BATCH, _batch_logged_in, _all_answered, OWN_LOGIN, remember=_asked_so_far, gets_login=True),
    Scenario("batch-submit", Command(("qwen-batch", "submit", "in.jsonl")), _batch, _submitted, (STORED_KEY,),
             remember=_input_of_each_batch),
    Scenario("batch-fetch", Command(("qwen-batch", "fetch", "batch_1", "-o", "out.jsonl")), _batch_completed, _fetched,
             (STORED_KEY,)),
    Scenario("proxy", Command(("qwen-proxy", "--", *CHAT.argv)), _with_key, _prints("heard 1: hi\n"), (STORED_KEY,),
             more_exits=(126, 127), needs="qwen-proxy"),
    Scenario("proxy-refresh", Command(("qwen-proxy", "--", *CHAT.argv)), _logged_in(-1), _prints("heard 1: hi\n"), OWN_LOGIN,
             gets_login=True, more_exits=(126, 127), needs="qwen-proxy"),
]
