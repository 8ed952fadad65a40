"""Ceph's S3 on this machine: one monitor, one disk in memory, and radosgw before them.

It needs Debian's packages: `apt-get install ceph-common ceph-mon ceph-osd radosgw`. No service of
the system is used: each daemon is a child that keeps all it has in a folder, which is removed
after. Used like the servers of `objrun.testing.servers`.
"""

from __future__ import annotations

import base64
import hmac
import shutil
import subprocess
import tempfile
from contextlib import ExitStack, contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import TYPE_CHECKING

from objrun import clock
from objrun.testing.s3_keys import ACCESS_KEY, SECRET_KEY
from objrun.testing.servers import (
    Server,
    ServerMissingError,
    ask,
    free_port,
    running,
    s3_options,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["radosgw_server"]

_PROGRAMS = ("ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw-admin")
_START = 120.0  # seconds for all of Ceph to get to know each other

_CONFIGURATION = """\
[global]
fsid = {fsid}
mon host = v2:127.0.0.1:{port}
public addr = 127.0.0.1
cluster addr = 127.0.0.1
keyring = {folder}/keyring
run dir = {folder}
admin socket = {folder}/$name.asok
pid file = {folder}/$name.pid
log file = {folder}/$name.log
mon data = {folder}/mon
mon data avail crit = 1
mon allow pool size one = true
mon max pg per osd = 1000
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 2147483648
osd class dir = {libraries}/rados-classes
plugin dir = {libraries}/ceph
erasure code dir = {libraries}/ceph/erasure-code
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pg autoscale mode = off
rgw data = {folder}
rgw frontends = beast endpoint=127.0.0.1:{front}
"""

_KEYRING = """\
[mon.]
key = {key}
caps mon = "allow *"
[client.admin]
key = {key}
caps mon = "allow *"
caps osd = "allow *"
[osd.0]
key = {key}
caps mon = "allow profile osd"
caps osd = "allow *"
"""


@contextmanager
def radosgw_server() -> Iterator[Server]:
    """Run a cluster of one monitor, one disk and one radosgw.

    Raises:
        ServerMissingError: its programs are not installed.
    """
    _program("radosgw")
    for name in _PROGRAMS:
        _program(name)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="radosgw-")))
        cluster = _Cluster(folder, free_port(), free_port())
        cluster.configure()
        stack.enter_context(cluster.daemon("ceph-mon", "-i", "a", port=cluster.port))
        disk = clock.new_id()
        cluster.do("ceph", "osd", "new", disk)
        cluster.do("ceph-osd", "--mkfs", "-i", "0", "--osd-uuid", disk)
        stack.enter_context(cluster.daemon("ceph-osd", "-i", "0"))
        keys = ["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY]
        user = ["--uid", "objrun", "--display-name", "objrun", *keys]
        cluster.do("radosgw-admin", "user", "create", *user)
        pid = stack.enter_context(
            cluster.daemon("radosgw", "-n", "client.admin", port=cluster.front)
        )
        yield Server("s3", cluster.front, pid, s3_options, _make_bucket)


class _Cluster:
    """A folder with a configuration, and programs that go by it."""

    def __init__(self, folder: Path, port: int, front: int) -> None:
        self.folder = folder
        self.port = port
        self.front = front

    def configure(self) -> None:
        for name in ("mon", "osd"):
            (self.folder / name).mkdir()
        fsid = clock.new_id()
        libraries = Path(_program("ceph-osd")).parents[1] / "lib"
        found = next(libraries.glob("*/rados-classes"), libraries / "rados-classes").parent
        (self.folder / "ceph.conf").write_text(
            _CONFIGURATION.format(
                fsid=fsid,
                folder=self.folder,
                port=self.port,
                front=self.front,
                libraries=found,
            )
        )
        key = self.do("ceph-authtool", "--gen-print-key").strip()
        (self.folder / "keyring").write_text(_KEYRING.format(key=key))
        monitors = f"{self.folder}/monitors"
        address = f"[v2:127.0.0.1:{self.port}]"
        self.do("monmaptool", "--create", "--fsid", fsid, "--addv", "a", address, monitors)
        keyring = f"--keyring={self.folder}/keyring"
        self.do("ceph-mon", "--mkfs", "-i", "a", f"--monmap={monitors}", keyring)

    def do(self, program: str, *arguments: str) -> str:
        """Run a program to its end and return what it says."""
        done = subprocess.run(  # noqa: S603 - the commands are those above
            self._command(program, *arguments),
            check=False,
            capture_output=True,
            text=True,
            timeout=_START,
        )
        if done.returncode:
            raise RuntimeError(f"{done.args}: {done.stderr[-2000:]}")
        return done.stdout

    @contextmanager
    def daemon(self, program: str, *arguments: str, port: int | None = None) -> Iterator[int]:
        """Run a daemon for as long as the context lasts, like `running`."""
        with running(self._command(program, "-f", *arguments), port, _START) as pid:
            yield pid

    def _command(self, program: str, *arguments: str) -> list[str]:
        is_plain = program in {"ceph-authtool", "monmaptool"}
        return [program, *arguments, *([] if is_plain else ["-c", f"{self.folder}/ceph.conf"])]


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        packages = "ceph-common ceph-mon ceph-osd radosgw"
        raise ServerMissingError(f"{name} is not installed: apt-get install {packages}")
    return found


def _make_bucket(port: int, name: str) -> None:
    date = formatdate(usegmt=True)
    # Version 2 of the signature, which fits in a line; the tests' own requests use version 4.
    digest = hmac.digest(SECRET_KEY.encode(), f"PUT\n\n\n{date}\n/{name}".encode(), "sha1")
    signed = f"AWS {ACCESS_KEY}:{base64.b64encode(digest).decode()}"
    ask(port, "PUT", f"/{name}", {"Date": date, "Authorization": signed})
