"""A local S3 whose conditional writes are atomic: `python -m objrun.testing.s3 --port 9000`.

It is moto's server with a few changes. Requests are answered one at a time, because moto checks
`If-None-Match` and then stores, so of two simultaneous creates both could win. An access key other
than `ACCESS_KEY` is refused, so that wrong credentials can be tried. With `--users FILE` there are
users with policies, `{access key: {"secret": ..., "policy": ...}}`: what a policy does not allow is
refused, by moto's own checks and by `objrun.testing.policies`. Nothing is kept on disk.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from moto import settings
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends
from moto.moto_server.werkzeug_app import create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import WSGIRequestHandler, make_server

from objrun.testing.policies import ARN, Request, for_moto, permits, requests_of
from objrun.testing.s3_keys import ACCESS_KEY, REGION, SECRET_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = ["LockedS3", "main"]

BUCKET = "objrun"
"""A bucket that is there from the start."""

_CREDENTIAL = re.compile(r"Credential=([^/]+)/")
_REFUSED = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>InvalidAccessKeyId</Code><Message>'
    b"The access key Id you provided does not exist in our records.</Message></Error>"
)
_DENIED = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code><Message>'
    b"Access Denied</Message></Error>"
)
_KEPT = "<Error><Key>{}</Key><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
_Environ = dict[str, Any]
_EVERYTHING = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}


class LockedS3:
    """A WSGI application: moto's S3, one request at a time unless `locked` is False.

    `policies`: by access key, what may be done with it.
    """

    def __init__(self, policies: Mapping[str, Any], *, locked: bool = True) -> None:
        # Not the application that finds the service of each request: it looks through moto's files.
        self._moto: Any = create_backend_app("s3")
        self._policies = policies
        self._locked = locked
        self._lock = threading.Lock()

    def __call__(self, environ: _Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        # Read the body before taking the lock, so that a slow sender holds up nobody.
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length)
        environ["wsgi.input"] = io.BytesIO(body)
        match = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
        if match is None or match[1] not in self._policies:
            start_response("403 Forbidden", [("Content-Type", "application/xml")])
            return [_REFUSED]
        policy = self._policies[match[1]]
        asked = _asked(environ, body)
        denied = [one.resource for one in asked if not permits(policy, one)]
        if denied and asked[0].action == "s3:DeleteObject" and environ["REQUEST_METHOD"] == "POST":
            start_response("200 OK", [("Content-Type", "application/xml")])
            keys = [name.partition("/")[2] for name in denied]
            return [f"<DeleteResult>{''.join(map(_KEPT.format, keys))}</DeleteResult>".encode()]
        if denied:
            return _deny(start_response)
        if not self._locked:
            return list(self._moto(environ, start_response))
        with self._lock:
            return self._answer(environ, start_response, policy)

    def _answer(
        self, environ: _Environ, start_response: Callable[..., Any], policy: Mapping[str, Any]
    ) -> Iterable[bytes]:
        """Answer, and do not say that an object is missing to who may not list: as S3 does."""
        said: list[Any] = []

        def note(*answer: Any) -> None:
            said.extend(answer)

        data = list(self._moto(environ, note))
        bucket = environ["PATH_INFO"].lstrip("/").partition("/")[0]
        may_know = permits(policy, Request("s3:ListBucket", f"{ARN}{bucket}", {}))
        if said[0].startswith("404") and not may_know:
            return _deny(start_response)
        start_response(*said)
        return data


def _asked(environ: _Environ, body: bytes) -> list[Request]:
    query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    text = body.decode("utf-8", "replace") if "delete" in query else ""
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    return [*requests_of(method, path, query, environ.get("HTTP_IF_NONE_MATCH"), text)]


def _deny(start_response: Callable[..., Any]) -> list[bytes]:
    start_response("403 Forbidden", [("Content-Type", "application/xml")])
    return [_DENIED]


def _enforce(users: Mapping[str, Any]) -> None:
    """Have moto know users with their policies, and check them from now on."""
    iam = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
    for name, user in users.items():
        iam.create_user(REGION, name)
        iam.put_user_policy(name, "objrun", json.dumps(for_moto(user["policy"])))
        key = iam.create_access_key(name)
        key.access_key_id, key.secret_access_key = name, user["secret"]
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0.0


class _Handler(WSGIRequestHandler):
    """Answer without delay, and say nothing."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle_expect_100(self) -> bool:
        """Leave "100 Continue" to werkzeug, which sends it itself, or it would be sent twice."""
        return True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing: a server for tests is read by nobody."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until the process is ended; print the URL when the port is open."""
    parser = argparse.ArgumentParser(prog="serve_s3", description="A local S3 for tests and demos.")
    parser.add_argument("--port", type=int, default=0, help="the port; a free one if not given")
    parser.add_argument(
        "--unlocked", action="store_true", help="let simultaneous creates both win, as moto does"
    )
    parser.add_argument("--users", type=Path, help="a file of users and what each may do")
    options = parser.parse_args(arguments)
    own = {"secret": SECRET_KEY, "policy": {"Version": "2012-10-17", "Statement": [_EVERYTHING]}}
    users = {**(json.loads(options.users.read_text()) if options.users else {}), ACCESS_KEY: own}
    if options.users:
        _enforce(users)
    server = make_server(
        "127.0.0.1",
        options.port,
        LockedS3(
            {name: user["policy"] for name, user in users.items()}, locked=not options.unlocked
        ),
        threaded=True,
        request_handler=_Handler,
    )
    if options.unlocked:
        sys.setswitchinterval(1e-5)
    s3_backends[DEFAULT_ACCOUNT_ID]["aws"].create_bucket(BUCKET, REGION)
    sys.stdout.write(
        f"http://127.0.0.1:{server.port}\n"
        f"export AWS_ENDPOINT_URL=http://127.0.0.1:{server.port}\n"
        f"export AWS_ACCESS_KEY_ID={ACCESS_KEY}\n"
        f"export AWS_SECRET_ACCESS_KEY={SECRET_KEY}\n"
        f"export AWS_DEFAULT_REGION={REGION}\n"
        f"# then, for one: objrun demo --url s3://{BUCKET}/demo\n"
    )
    sys.stdout.flush()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()
