#!/usr/bin/env python3
"""An OAuth server with the device flow: PyPI django-oauth-toolkit in a Django site of one file.

usage: python3 tests/peers/django-oauth-toolkit/server.py     prints 'listening http://127.0.0.1:PORT', ends when stdin does

Its endpoints are below /o/, each with a slash at its end; the metadata document names no device authorization endpoint, and
the answer to a device request no verification_uri_complete. It never finds a client too fast. A person signs in first, then
types the code, then decides. Beside the standard endpoints it has those of oauth_control.py. Settings come from the
environment:
  PORT=0     0: any free one
  TRACE=     requests, and Django's log, on stderr
"""
import http.cookiejar
import os
import pathlib
import re
import secrets
import shutil
import sys
import tempfile
import urllib.parse
import urllib.request

sys.dont_write_bytecode = True                           # this directory is of the repository
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import oauth_control  # noqa: E402

oauth_control.venv("django-oauth-toolkit")

import atexit  # noqa: E402

import django  # noqa: E402
from django.conf import settings  # noqa: E402

PASSWORD = "only for tests"
httpd, url = oauth_control.listen()
PAGE = """<form method="post">{% csrf_token %}{{ form.as_p }}<button>Sign in</button></form>"""
settings.configure(
    SECRET_KEY=PASSWORD, ALLOWED_HOSTS=["127.0.0.1"], ROOT_URLCONF=__name__, LOGIN_URL="/login/", USE_TZ=True,
    LOGGING_CONFIG=None if os.environ.get("TRACE") else "logging.config.dictConfig",
    LOGGING={"version": 1, "handlers": {"none": {"class": "logging.NullHandler"}}, "root": {"handlers": ["none"]},
             "loggers": {"django": {"handlers": ["none"], "propagate": False}}},
    # A file, for a database in memory is one connection's alone, and each request has its own thread.
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "OPTIONS": {"timeout": 60},
                           "NAME": os.path.join(tempfile.mkdtemp(prefix="django-oauth-toolkit."), "db")}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "oauth2_provider"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware", "django.middleware.csrf.CsrfViewMiddleware",
                "django.contrib.auth.middleware.AuthenticationMiddleware"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "OPTIONS": {
        "context_processors": ["django.template.context_processors.request", "django.contrib.auth.context_processors.auth"],
        "loaders": [("django.template.loaders.locmem.Loader", {"registration/login.html": PAGE}),
                    "django.template.loaders.app_directories.Loader"]}}],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    OAUTH2_PROVIDER={
        "SCOPES": {name: name for name in ("openid", "offline_access", "model.completion")},
        "OAUTH_DEVICE_VERIFICATION_URI": f"{url}/o/device/", "DEVICE_FLOW_INTERVAL": 1,
        "ACCESS_TOKEN_EXPIRE_SECONDS": 60, "REFRESH_TOKEN_REUSE_PROTECTION": True,
    })
database = settings.DATABASES["default"]["NAME"]
atexit.register(shutil.rmtree, os.path.dirname(database), ignore_errors=True)
django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.contrib.auth.views import LoginView  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.urls import include, path  # noqa: E402
from django.utils import timezone  # noqa: E402
from oauth2_provider.models import AccessToken, Application, DeviceGrant  # noqa: E402
from oauth2_provider.urls import metadata_urlpatterns  # noqa: E402

urlpatterns = [
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    path("", include((metadata_urlpatterns, "metadata"))),
    path("login/", LoginView.as_view()),
]
call_command("migrate", verbosity=0)
get_user_model().objects.create_user("alice", password=PASSWORD)


class Person:
    """Someone with a browser that keeps cookies and sends the hidden value of each form."""

    def __init__(self):
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.browser = urllib.request.build_opener(urllib.request.ProxyHandler({}), cookies)

    def send(self, page, **fields):
        """Fills in the form of `page` and returns the address that it leads to."""
        hidden = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.browser.open(page).read().decode())[1]
        form = urllib.parse.urlencode({"csrfmiddlewaretoken": hidden, **fields}).encode()
        answer = self.browser.open(page, form)
        if answer.url == page:
            raise ValueError(f"the form of {page} was not taken: {re.findall('errorlist.*?</', answer.read().decode())}")
        return answer.url


class Server:
    endpoints = {"/o/device-authorization/": "device", "/o/token/": "token", "/o/revoke_token/": "revocation"}

    @staticmethod
    def client(scope, client_id=None):
        client_id = client_id or secrets.token_hex(8)
        Application.objects.create(client_id=client_id, name=scope, client_type=Application.CLIENT_PUBLIC,
                                   authorization_grant_type=Application.GRANT_DEVICE_CODE)
        return {"client_id": client_id}

    @staticmethod
    def approve(user_code, deny=False):
        person, page = Person(), f"{url}/o/device/?user_code={user_code}"
        person.send(f"{url}/login/?next=/o/device/", username="alice", password=PASSWORD)
        person.send(person.send(page, user_code=user_code), action="deny" if deny else "accept")

    @staticmethod
    def expire(user_code):
        """The site finds out when the code is typed in; until then it calls an old code pending."""
        device = DeviceGrant.objects.get(user_code=user_code)
        device.expires = timezone.now()
        device.is_expired()

    @staticmethod
    def pace(user_code, seconds):
        raise NotImplementedError("django-oauth-toolkit does not slow clients down")

    @staticmethod
    def active(token):
        found = AccessToken.objects.filter(token=token).first()
        return {"active": bool(found) and found.is_valid()}


oauth_control.serve(httpd, url, get_wsgi_application(), Server())
