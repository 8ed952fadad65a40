"""What scripts print: all of it, byte by byte, while they work, and without secrets."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from objrun import Workspace
from objrun.runs.following import Follower
from objrun.secret import TOLD, Redactor, find_secret
from objrun.submission.masking import Masker
from objrun.submission.pump import Secrets
from tests.submission.conftest import SLOWEST, ended, log_of, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.submission.conftest import Submit


def test_much_output_and_bytes_that_are_no_text(shared_ws: Workspace, submit: Submit) -> None:
    """10 MB: more than one chunk, and more than a pipe holds."""
    script = """
import sys
for part in range(10):
    sys.stdout.buffer.write(bytes(range(256)) * 4096)
sys.stdout.buffer.write("ü without an end".encode())
"""
    run = ended(submit(shared_ws, script))
    assert run.status == "Completed"
    assert log_of(run) == bytes(range(256)) * 40960 + "ü without an end".encode()
    chunks = shared_ws.store.list(f"runs/{run.id}/logs/")
    assert len(chunks) < 12


def test_what_is_printed_is_read_while_the_script_works(
    local_ws: Workspace, submit: Submit, tmp_path: Path
) -> None:
    """Also half a character, and a line that has not ended."""
    script = f"""
import os, time
os.write(1, b"so f\\xc3")
while not os.path.exists({str(tmp_path / "go")!r}):
    time.sleep(0.02)
os.write(2, b"\\xa4r")
"""
    run = submit(local_ws, script)
    follower, told = Follower(local_ws.store, run.id), [""]

    def has(text: str) -> bool:
        told[0] += follower.more()
        return told[0] == text

    until(lambda: has("so f"))
    assert run.get_status() == "Running"
    (tmp_path / "go").touch()
    until(lambda: has("so fär"))
    assert ended(run).status == "Completed"


VALUE = "hunter-2222\nand a second line"

TELLING = """
import os, subprocess, sys, time
from objrun import Run
run = Run.get_context()
secret = run.get_secret("db-password")
os.write(1, b"it is hunt")
time.sleep(1.2)  # longer than the first flush takes
os.write(1, b"er-2222!\\n")
print(secret.splitlines())
print(os.environ["STORE_KEY"], subprocess.run([sys.executable, "-c",
    "from objrun.secret import find_secret; print('child:', str(find_secret('other')))"],
    capture_output=True, text=True).stdout)
raise ValueError(f"cannot log in with {secret}")
"""


def test_secrets_are_in_nothing_that_is_stored(
    tmp_path: Path, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where one comes in two pieces, and one that a process of the script asked for."""
    ws = Workspace(tmp_path / "store", {"durability": "none"})
    monkeypatch.setenv("DB_PASSWORD", VALUE)
    monkeypatch.setenv("OTHER", "swordfish")
    monkeypatch.setenv("OBJRUN_SECRET_STORE_KEY", "open sesame")
    monkeypatch.setenv("STORE_KEY", "open sesame")
    run = ended(submit(ws, TELLING))
    log = log_of(run)
    assert log.startswith(b"it is ***!\n['***', '***']\n*** child: ***\n")
    for secret in (b"hunter-2222", b"second line", b"swordfish", b"open sesame"):
        assert secret not in b"".join(ws.store.get(info.key) for info in ws.store.list(""))
    assert dict(run.state.error or {})["message"] == "ValueError: cannot log in with ***"


def test_storage_options_are_on_no_command_line(tmp_path: Path, submit: Submit) -> None:
    ws = Workspace(tmp_path / "store", {"durability": "none", "spool": False})
    script = """
import json, os
from pathlib import Path
told = [p.read_bytes() for p in Path("/proc").glob("[0-9]*/cmdline") if os.access(p, os.R_OK)]
print(json.dumps([json.loads(os.environ["OBJRUN_STORAGE_OPTIONS"]),
                  any(b"durability" + bytes(1) in line for line in told)]))
"""
    run = ended(submit(ws, script))
    assert json.loads(log_of(run)) == [ws.storage_options, False]


secrets = st.text("ab1", min_size=4, max_size=6)


@given(st.text("ab1 ", max_size=60), st.lists(secrets, min_size=1, max_size=4), st.data())
def test_a_stream_is_masked_as_the_whole_text_is(
    text: str, values: list[str], data: st.DataObject
) -> None:
    whole, masker = Redactor(), Masker()
    for value in values:
        whole.add(value)
        masker.add(value)
    told, rest = b"", text.encode()
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        told += masker.feed(rest[:size])
        rest = rest[size:]
    assert told + masker.rest() == whole.redact(text).encode()


def test_who_has_left_the_group_and_prints_on_is_not_waited_for(
    local_ws: Workspace, submit: Submit
) -> None:
    script = """
import subprocess
subprocess.Popen(["/bin/sh", "-c", "while echo y; do :; done"], start_new_session=True)
"""
    assert ended(submit(local_ws, script)).status == "Completed"


ASKING = """
import os, sys
from objrun import Run
if "closed" in sys.argv:
    os.closerange(1, 3)
run = Run.get_context()
for number in range(20):  # more than a pipe holds
    os.environ["MYTOKEN"] = f"{number:04000}"
    run.get_secret("MYTOKEN")
"""


@pytest.mark.parametrize("output", ["open", "closed"])
def test_a_script_that_prints_nothing_may_ask_for_many_secrets(
    local_ws: Workspace, submit: Submit, output: str
) -> None:
    run = submit(local_ws, ASKING, output, max_run_duration_seconds=SLOWEST - 10)
    assert ended(run).status == "Completed"


def test_a_secret_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = Secrets(str(tmp_path))
    monkeypatch.setenv(TOLD, secrets.path)
    monkeypatch.setenv("MYTOKEN", "hunter-4444")
    for _ in range(3):
        find_secret("MYTOKEN")
    pipe = os.open(secrets.path, os.O_RDONLY | os.O_NONBLOCK)
    assert os.read(pipe, 1000) == b'"hunter-4444"\n'
    os.close(pipe)
    secrets.close()
