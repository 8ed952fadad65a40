"""A local S3 whose conditional writes are atomic: `python -m objrun.testing.s3 --port 9000`.

It is moto's server with two changes. Requests are answered one at a time, because moto checks
`If-None-Match` and then stores, so of two simultaneous creates both could win. And an access key
other than `ACCESS_KEY` is refused, so that wrong credentials can be tried. Nothing is kept on disk.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import threading
from typing import TYPE_CHECKING, Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import WSGIRequestHandler, make_server

from objrun.testing.s3_keys import ACCESS_KEY, REGION, SECRET_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["LockedS3", "main"]

BUCKET = "objrun"
"""A bucket that is there from the start."""

_CREDENTIAL = re.compile(r"Credential=([^/]+)/")
_REFUSED = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>InvalidAccessKeyId</Code><Message>'
    b"The access key Id you provided does not exist in our records.</Message></Error>"
)
_Environ = dict[str, Any]


class LockedS3:
    """A WSGI application: moto's S3, one request at a time unless `locked` is False."""

    def __init__(self, *, locked: bool = True) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._locked = locked
        self._lock = threading.Lock()

    def __call__(self, environ: _Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        # Read the body before taking the lock, so that a slow sender holds up nobody.
        length = int(environ.get("CONTENT_LENGTH") or 0)
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(length))
        match = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
        if match is None or match[1] != ACCESS_KEY:
            start_response("403 Forbidden", [("Content-Type", "application/xml")])
            return [_REFUSED]
        if not self._locked:
            return list(self._moto(environ, start_response))
        with self._lock:
            return list(self._moto(environ, start_response))


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
    options = parser.parse_args(arguments)
    server = make_server(
        "127.0.0.1",
        options.port,
        LockedS3(locked=not options.unlocked),
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
