"""What the OAuth servers written in Python have in common: they listen, count, and do what a person or time would do.

serve(application, server) prints 'listening http://127.0.0.1:PORT' and ends when stdin does. `application` is a WSGI
application; `server` says where its endpoints are and does what is asked of it beside the standard:

  POST /client   {"scope":"…"[,"client_id":"…"]}: registers a public client, answers {"client_id":"…"}
  POST /approve  {"user_code":"…"[,"deny":true]}: a person signs in and decides on the server's own pages
  POST /expire   {"user_code":"…"}: the code's life is over, by the server's clock
  POST /pace     {"user_code":"…","seconds":4}: the server wants this time between two polls, whatever it announced
  POST /active   {"token":"…"}: answers {"active":true} for an access token that the server honours
  GET  /stats?client_id=…   what the client has asked and heard:
                 {"device":1,"token":{"device_code":3,"refresh_token":1},"revocation":0,
                  "answers":{"device_code":{"authorization_pending":2,"ok":1},"refresh_token":{"ok":1}}}

oauth_control.mjs is the same for Node.
"""
import io
import json
import os
import sys
import threading
import urllib.parse
import wsgiref.simple_server
from socketserver import ThreadingMixIn

# Requests are answered one at a time, as in a transaction; what a person does is made of requests, so it is not.
TURN = threading.Lock()


class Httpd(ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True
    request_queue_size = 128


class Quiet(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, form, *words):
        if os.environ.get("TRACE"):
            super().log_message(form, *words)


def listen():
    """A server without an application yet, and its URL: the applications need to know it."""
    httpd = wsgiref.simple_server.make_server("127.0.0.1", int(os.environ.get("PORT") or 0), None, Httpd, Quiet)
    return httpd, f"http://127.0.0.1:{httpd.server_port}"


class Counter:
    """Counts the requests to the endpoints, and what came of them, for each client."""

    def __init__(self, application, server):
        self.application = application
        self.server = server
        self.clients = {}
        self.lock = threading.Lock()

    def stats(self, client_id):
        with self.lock:
            new = {"device": 0, "token": {}, "revocation": 0, "answers": {}}
            return self.clients.setdefault(client_id, new)

    def count(self, endpoint, form, status, body):
        stats = self.stats(form.get("client_id", ""))
        if endpoint != "token":
            stats[endpoint] += 1
            return
        grant = form.get("grant_type", "none").split(":")[-1]
        outcome = "ok" if status == 200 else body.get("error", str(status))
        answers = stats["answers"].setdefault(grant, {})
        stats["token"][grant] = stats["token"].get(grant, 0) + 1
        answers[outcome] = answers.get(outcome, 0) + 1

    def __call__(self, environ, start_response):
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if path in ("/client", "/approve", "/expire", "/pace", "/active", "/stats"):
            return self.control(path[1:], environ, body, start_response)
        environ["wsgi.input"] = io.BytesIO(body)
        seen = []
        with TURN:
            answer = b"".join(self.application(environ, lambda *head: seen.append(head[0]) or start_response(*head)))
        endpoint = self.server.endpoints.get(path)
        if endpoint and method == "POST":
            form = dict(urllib.parse.parse_qsl(body.decode("utf-8", "replace")))
            self.count(endpoint, form, int(seen[0].split()[0]), parsed(answer))
        return [answer]

    def control(self, name, environ, body, start_response):
        try:
            if name == "stats":
                query = urllib.parse.parse_qs(environ.get("QUERY_STRING", ""))
                answer = self.stats(query.get("client_id", [""])[0])
            else:
                answer = getattr(self.server, name)(**json.loads(body)) or {}
            status, body = "200 OK", json.dumps(answer)
        except Exception as error:                       # the test that asked is the one to be told
            status, body = "400 Bad Request", json.dumps({"fault": f"{type(error).__name__}: {error}"})
        start_response(status, [("content-type", "application/json")])
        return [body.encode()]


def parsed(body):
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def serve(httpd, url, application, server):
    """Serves until stdin ends: a test that is killed closes the pipe, and leaves nothing behind."""
    httpd.set_app(Counter(application, server))
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    print(f"listening {url}", flush=True)
    while os.read(0, 4096):
        pass
    sys.exit(0)


def venv(name):
    """Goes on in the interpreter that tests/peers/install made for this peer."""
    here = os.path.dirname(os.path.abspath(__file__))
    peers = os.environ.get("QWEN_PEERS_DIR") or os.path.join(here, "..", "..", "target", "peers")
    prefix = os.path.realpath(os.path.join(peers, name))
    python = os.path.join(prefix, "bin", "python")
    if os.path.realpath(sys.prefix) == prefix:
        return
    if not os.path.exists(python):
        sys.exit(f"{sys.argv[0]}: the peer is not there; run tests/peers/install {name}")
    os.execv(python, [python, *sys.argv])
