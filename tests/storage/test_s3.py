"""The suite on S3."""

from __future__ import annotations

import select
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from objrun.errors import BucketNotFoundError, UnavailableError
from objrun.storage import connect
from objrun.testing.conformance import Place, SharedStoreSuite
from tests.storage.broken_off import goes_on

if TYPE_CHECKING:
    from collections.abc import Callable

    from objrun.testing.servers import Server


class TestS3(SharedStoreSuite):
    """A bucket of S3, and a prefix in it."""

    @pytest.fixture
    def place(self, s3_server: Server) -> Place:
        return Place(f"{s3_server.new_bucket()}/a prefix+", s3_server.options)

    def test_an_upload_that_broke_off_goes_on(self, place: Place) -> None:
        def counted(bucket: Any, tell: Callable[[], None]) -> None:
            call = bucket._call  # noqa: SLF001 - where requests are counted

            def told(method: str, **request: Any) -> Any:
                if method == "upload_part":
                    tell()
                return call(method, **request)

            bucket._call = told  # noqa: SLF001

        goes_on(place, counted)


def test_a_server_that_never_answers_is_asked_twice() -> None:
    """A caller waits a minute for each time that the client asks, and then asks again itself."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        store = connect(
            "s3://absent",
            endpoint_url=f"http://127.0.0.1:{server.getsockname()[1]}",
            anon=True,
            config_kwargs={"read_timeout": 0.1},
        )
        with pytest.raises(UnavailableError):
            store.put("a", b"1")
        asked = []
        while select.select([server], [], [], 0)[0]:
            asked.append(server.accept()[0])
        for connection in asked:
            connection.close()
    assert len(asked) == 2


def test_the_tool_serves_what_it_says() -> None:
    """`tools/serve_s3` prints what a shell must export to reach it, and s3fs reads it there."""
    tool = Path(__file__).parents[2] / "tools" / "serve_s3"
    with subprocess.Popen([sys.executable, tool], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url, *exports = [server.stdout.readline().strip() for _ in range(5)]
            assert exports[0] == f"export AWS_ENDPOINT_URL={url}"
            names = dict(line.removeprefix("export ").split("=", 1) for line in exports)
            store = connect(
                "s3://absent",
                endpoint_url=url,
                key=names["AWS_ACCESS_KEY_ID"],
                secret=names["AWS_SECRET_ACCESS_KEY"],
            )
            with pytest.raises(BucketNotFoundError):
                store.list("")
        finally:
            server.terminate()
