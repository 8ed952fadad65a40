"""An S3 that enforces the policies of docs/permissions.md, and workspaces with each role."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from objrun import Workspace, clock
from objrun.format.keys import PROBE
from objrun.storage import connect
from objrun.testing import servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from objrun.testing.servers import Server

    Open = Callable[[str], Workspace]

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "permissions.md"
ROLES = {
    "worker": "Worker",
    "worker-that-reads": "Worker that reads",
    "reader": "Reader",
    "maintainer": "Maintainer",
}


def policies() -> dict[str, dict[str, Any]]:
    """The policies of the document as they stand there, for the bucket of the tests."""
    blocks = re.findall(r"### (.+?)\n\n```json\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    found = {title: json.loads(text.replace("my-bucket", "objrun")) for title, text in blocks}
    return {role: found.pop(title) for role, title in ROLES.items()} | found


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A local S3 with a user for each role, and one who may do the same elsewhere."""
    users = {
        role: {"secret": f"secret of {role}", "policy": policy}
        for role, policy in policies().items()
    }
    elsewhere = json.dumps(users["maintainer"]["policy"]).replace("team", "elsewhere")
    users["stranger"] = {"secret": "secret of stranger", "policy": json.loads(elsewhere)}
    path = tmp_path_factory.mktemp("iam") / "users.json"
    path.write_text(json.dumps(users))
    with servers.s3_server(users=path) as server:
        yield server


def options_of(server: Server, role: str) -> dict[str, Any]:
    """Storage options with the credentials of a role."""
    return {**server.options, "key": role, "secret": f"secret of {role}"}


@pytest.fixture
def place() -> str:
    """A place below the prefix of the policies."""
    return f"s3://objrun/team/{clock.random_hex(6)}"


@pytest.fixture
def opened(guarded: Server, place: str) -> Open:
    """Opens the store of a test, which a maintainer has made, with the credentials of a role."""
    options = options_of(guarded, "maintainer")
    connect(place, **options).put(PROBE, b"")  # so it need not be proven, see `proven_bucket`
    Workspace.create(place, options)
    return lambda role: Workspace(place, {**options_of(guarded, role), "spool": False})
