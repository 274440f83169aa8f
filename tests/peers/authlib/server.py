#!/usr/bin/env python3
"""An OAuth server with the device flow: PyPI Authlib, with what its documentation leaves to the site.

usage: python3 tests/peers/authlib/server.py     prints 'listening http://127.0.0.1:PORT', ends when stdin does

Authlib brings the endpoints and what they check; a site brings the store and the policy. Here they are: everything in
memory, a code that lives two minutes and is polled every second, refresh tokens that serve once and whose reuse ends the
grant (RFC 9700, section 4.14.2), and PKCE of the device request, checked with the token request where a client sent it.
Beside the standard endpoints it has those of oauth_control.py. Settings come from the environment:
  PORT=0     0: any free one
  TRACE=     requests on stderr
"""
import base64
import hashlib
import os
import pathlib
import secrets
import sys
import time

sys.dont_write_bytecode = True                           # this directory is of the repository
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import oauth_control  # noqa: E402

oauth_control.venv("authlib")
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"           # the loopback interface has no TLS

from authlib.integrations.flask_oauth2 import AuthorizationServer  # noqa: E402
from authlib.oauth2.rfc6749 import ClientMixin, InvalidGrantError, InvalidRequestError, TokenMixin, grants  # noqa: E402
from authlib.oauth2.rfc7009 import RevocationEndpoint  # noqa: E402
from authlib.oauth2.rfc8628 import DEVICE_CODE_GRANT_TYPE, DeviceAuthorizationEndpoint, DeviceCodeGrant  # noqa: E402
from authlib.oauth2.rfc8628 import DeviceCredentialDict  # noqa: E402
from flask import Flask, request  # noqa: E402

LIFE = {"code": 120, "access_token": 60}
httpd, url = oauth_control.listen()
clients, tokens, devices, decisions = {}, [], {}, {}


class Client(ClientMixin):
    """A public client: a program in everybody's hands."""

    def __init__(self, client_id, scope):
        self.client_id, self.scope = client_id, scope

    def get_client_id(self):
        return self.client_id

    def get_allowed_scope(self, scope):
        return " ".join(word for word in (scope or "").split() if word in self.scope.split())

    def check_endpoint_auth_method(self, method, endpoint):
        return method == "none"

    def check_grant_type(self, grant_type):
        return grant_type in (DEVICE_CODE_GRANT_TYPE, "refresh_token")


class Token(TokenMixin):
    def __init__(self, client, user, grant, answer):
        self.client, self.user, self.grant, self.answer = client, user, grant, answer
        self.ends = time.monotonic() + answer["expires_in"]
        self.revoked = self.used = False

    def check_client(self, client):
        return self.client is client

    def get_scope(self):
        return self.answer.get("scope", "")

    def get_expires_in(self):
        return self.answer["expires_in"]

    def is_expired(self):
        return self.ends < time.monotonic()

    def is_revoked(self):
        return self.revoked


def find(member, text):
    return next((token for token in tokens if token.answer.get(member) == text), None)


def save_token(answer, asked):
    grant = getattr(asked, "refresh_token", None)
    tokens.append(Token(asked.client, asked.user, grant.grant if grant else secrets.token_hex(8), answer))


def end(grant):
    for token in tokens:
        token.revoked = token.revoked or token.grant == grant


class Device(DeviceAuthorizationEndpoint):
    EXPIRES_IN = LIFE["code"]
    INTERVAL = 1

    def create_endpoint_response(self, asked):
        if not asked.form.get("client_id"):
            raise InvalidRequestError("Missing 'client_id' in request.")
        return super().create_endpoint_response(asked)

    def get_verification_uri(self):
        return f"{url}/device"

    def save_device_credential(self, client_id, scope, data):
        devices[data["device_code"]] = DeviceCredentialDict(
            data, client_id=client_id, scope=scope, expires_at=time.time() + self.EXPIRES_IN, pace=self.INTERVAL,
            answered=None, challenge=request.form.get("code_challenge"))


class DeviceGrant(DeviceCodeGrant):
    def query_device_credential(self, device_code):
        device = devices.get(device_code)
        if device and device["challenge"]:
            digest = hashlib.sha256(request.form.get("code_verifier", "").encode()).digest()
            if base64.urlsafe_b64encode(digest).decode().rstrip("=") != device["challenge"]:
                raise InvalidGrantError("The code_verifier does not fit the code_challenge.")
        return device

    def query_user_grant(self, user_code):
        return decisions.get(user_code)

    def should_slow_down(self, device):
        now = time.monotonic()
        early = device["answered"] is not None and now - device["answered"] < device["pace"]
        device["answered"] = now
        return early

    def save_token(self, token):
        super().save_token(token)
        devices.pop(self.request.form["device_code"])       # a code serves once


class RefreshGrant(grants.RefreshTokenGrant):
    INCLUDE_NEW_REFRESH_TOKEN = True
    TOKEN_ENDPOINT_AUTH_METHODS = ["none"]

    def authenticate_refresh_token(self, text):
        token = find("refresh_token", text)
        if token and token.used:
            end(token.grant)
        return token if token and not token.revoked else None

    def authenticate_user(self, token):
        return token.user

    def revoke_old_credential(self, token):
        token.used = True


class Revocation(RevocationEndpoint):
    CLIENT_AUTH_METHODS = ["none"]

    def query_token(self, text, hint):
        return find("access_token", text) or find("refresh_token", text)

    def revoke_token(self, token, asked):
        end(token.grant)


SCOPES = ["openid", "offline_access", "model.completion"]
app = Flask(__name__)
app.config.update(OAUTH2_SCOPES_SUPPORTED=SCOPES, OAUTH2_REFRESH_TOKEN_GENERATOR=True,
                  OAUTH2_TOKEN_EXPIRES_IN={DEVICE_CODE_GRANT_TYPE: LIFE["access_token"], "refresh_token": LIFE["access_token"]})
authorization = AuthorizationServer(app, clients.get, save_token)
for grant in (DeviceGrant, RefreshGrant):
    authorization.register_grant(grant)
for endpoint in (Device, Revocation):
    authorization.register_endpoint(endpoint)


@app.post("/oauth/device_authorization")
def device_authorization():
    return authorization.create_endpoint_response("device_authorization")


@app.post("/oauth/token")
def token():
    return authorization.create_token_response()


@app.post("/oauth/revoke")
def revoke():
    return authorization.create_endpoint_response("revocation")


@app.get("/.well-known/oauth-authorization-server")
def metadata():
    return {"issuer": url, "token_endpoint": f"{url}/oauth/token", "revocation_endpoint": f"{url}/oauth/revoke",
            "device_authorization_endpoint": f"{url}/oauth/device_authorization", "response_types_supported": [],
            "grant_types_supported": [DEVICE_CODE_GRANT_TYPE, "refresh_token"], "scopes_supported": SCOPES}


@app.post("/device")
def decide():
    """The page that the verification URI names, without its looks and its login."""
    waiting = [device for device in devices.values() if device["user_code"] == request.form["user_code"]]
    if not waiting or waiting[0].is_expired():
        return "no such code is waiting", 404
    decisions[waiting[0]["user_code"]] = ("alice", request.form["answer"] == "approve")
    return "thank you"


class Server:
    endpoints = {"/oauth/device_authorization": "device", "/oauth/token": "token", "/oauth/revoke": "revocation"}

    @staticmethod
    def client(scope, client_id=None):
        client_id = client_id or secrets.token_hex(8)
        clients[client_id] = Client(client_id, scope)
        return {"client_id": client_id}

    @staticmethod
    def device(user_code):
        return next(device for device in devices.values() if device["user_code"] == user_code)

    @staticmethod
    def approve(user_code, deny=False):
        answer = app.test_client().post("/device", data={"user_code": user_code, "answer": "deny" if deny else "approve"})
        if answer.status_code != 200:
            raise ValueError(answer.text)

    def expire(self, user_code):
        self.device(user_code)["expires_at"] = 0

    def pace(self, user_code, seconds):
        self.device(user_code)["pace"] = seconds

    @staticmethod
    def active(token):
        found = find("access_token", token)
        return {"active": bool(found) and not found.is_revoked() and not found.is_expired()}


oauth_control.serve(httpd, url, app, Server())
