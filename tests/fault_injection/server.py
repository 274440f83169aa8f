"""The servers in one: an authorization server that rotates, and an endpoint of OpenAI's form."""
import collections
import copy
import json
import socket
import threading
import urllib.parse

from .batch_api import BatchApi

KEY = "sk-canary-0123456789"
PREFIX = "canary-"


class Server:
    """Listens on a free port of the loopback. Its state can be put back to what it was."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self._changed = threading.Condition()
        self._open = 0
        self.state = State()
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, path=""):
        return f"http://127.0.0.1:{self.port}{path}"

    def snapshot(self):
        return copy.deepcopy(self.state)

    def restore(self, state):
        self.state = copy.deepcopy(state)

    def settle(self):
        """Waits until every connection of a client that is gone has been heard to its end."""
        # Connections are accepted in order, so that all older ones are counted when this one is closed.
        with socket.create_connection(("127.0.0.1", self.port)) as last:
            last.sendall(b"QUIT / HTTP/1.1\r\n\r\n")
            last.recv(1)
        with self._changed:
            if not self._changed.wait_for(lambda: self._open == 0, timeout=240):
                raise RuntimeError("a connection is still open")

    def close(self):
        self._listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._changed:
                self._open += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            reader = connection.makefile("rb")
            while (request := Request.read(reader)) and request.method != "QUIT":
                with self._changed:
                    answer = self.state.answer(request)
                # In one piece, so that a client reads it in as many calls each time.
                connection.sendall(answer)
        except OSError:
            pass
        finally:
            connection.close()
            with self._changed:
                self._open -= 1
                self._changed.notify_all()


class Request:
    """A request as it came."""

    def __init__(self, method, path, headers, body):
        self.method, self.path, self.headers, self.body = method, path, headers, body

    @classmethod
    def read(cls, reader):
        line = reader.readline().decode("latin-1").split()
        if len(line) != 3:
            return None
        headers = {}
        while line_bytes := reader.readline().strip():
            name, _, value = line_bytes.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", 0))
        body = reader.read(length)
        return cls(line[0], line[1], headers, body) if len(body) == length else None

    def form(self):
        return dict(urllib.parse.parse_qsl(self.body.decode()))


class State:
    """What the servers know."""

    def __init__(self):
        self.requests = collections.Counter()
        self.asked = collections.Counter()
        self.issued = 0
        # Each login has a grant; its last refresh token alone is good, and the use of an older one ends the grant.
        self.grants = {}
        self.grant_of = {}
        self.newest_grant = None
        self.batch_api = BatchApi()

    def answer(self, request):
        self.requests[request.path] += 1
        known = {
            "/device": self._device,
            "/token": self._token,
            "/revoke": self._revoke,
            "/v1/models": self._models,
            "/v1/chat/completions": self._chat,
            "/other/v1/chat/completions": self._chat,
        }
        return known.get(request.path, self._batch)(request)

    def is_active(self, token):
        """True for a key or an access token that opens the endpoint."""
        return token == KEY or any(token in grant["access"] for grant in self.grants.values())

    def is_newest(self, token):
        """True for an access token that is good, and of the newest login."""
        return self.is_active(token) and self.grant_of.get(token) == self.newest_grant

    def can_refresh(self, token):
        """True for a refresh token that is still good."""
        return any(grant["refresh"] == token for grant in self.grants.values())

    def log_in(self):
        """A new grant, and what is answered to the client that asked for it."""
        self.newest_grant = len(self.grant_of)
        return self._issue(self.newest_grant)

    def _issue(self, grant):
        self.issued += 1
        access, refresh = f"{PREFIX}access-{self.issued}", f"{PREFIX}refresh-{self.issued}"
        earlier = self.grants.get(grant, {"access": []})
        self.grants[grant] = {"access": [*earlier["access"], access], "refresh": refresh}
        self.grant_of[access] = self.grant_of[refresh] = grant
        return {"access_token": access, "refresh_token": refresh, "token_type": "Bearer", "expires_in": 3600}

    def _device(self, _):
        return _json(200, {
            "device_code": f"{PREFIX}device-code", "user_code": "WDJB-MJHT", "verification_uri": "https://id.example/device",
            "expires_in": 600, "interval": 1,
        })

    def _token(self, request):
        form = request.form()
        if form.get("grant_type") != "refresh_token":
            is_ours = form.get("device_code") == f"{PREFIX}device-code"
            return _json(200, self.log_in()) if is_ours else _json(400, {"error": "invalid_grant"})
        token = form.get("refresh_token")
        grant = self.grant_of.get(token)
        if grant in self.grants and self.grants[grant]["refresh"] == token:
            return _json(200, self._issue(grant))
        self.grants.pop(grant, None)
        return _json(400, {"error": "invalid_grant", "error_description": "the refresh token was used before"})

    def _revoke(self, request):
        self.grants.pop(self.grant_of.get(request.form().get("token")), None)
        return _response(200, "text/plain", b"")

    def _models(self, request):
        return self._refusal(request) or _json(200, {"object": "list", "data": [{"id": "m-1", "object": "model"}]})

    def _chat(self, request):
        if refusal := self._refusal(request):
            return refusal
        asked = json.loads(request.body)
        prompt = asked["messages"][-1]["content"]
        self.asked[prompt] += 1
        name = "other " if request.path.startswith("/other") else ""
        text = f"{name}heard {len(asked['messages'])}: {prompt}"
        usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
        if not asked.get("stream"):
            choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            return _json(200, {"id": "c-1", "object": "chat.completion", "model": "m-1", "choices": [choice], "usage": usage})
        chunks = [{"choices": [{"index": 0, "delta": {"content": part}}]} for part in (text[:5], text[5:])]
        chunks += [{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, {"choices": [], "usage": usage}]
        events = [json.dumps({"id": "c-1", "model": "m-1", **chunk}) for chunk in chunks]
        return _response(200, "text/event-stream", "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"]).encode())

    def _batch(self, request):
        return self._refusal(request) or _response(*self.batch_api.answer(request.method, request.path, request.body))

    def _refusal(self, request):
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme == "Bearer" and self.is_active(token):
            return None
        return _json(401, {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}})


def _json(status, value):
    return _response(status, "application/json", json.dumps(value).encode())


def _response(status, kind, body):
    head = f"HTTP/1.1 {status} Scripted\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body
