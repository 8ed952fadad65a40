"""Secrets: found in the environment and the keyring, never stored, never shown."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import keyring
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked

from objrun import Run, UserErrorException, secret
from objrun.errors import SecretWarning
from objrun.offline import OfflineRun
from objrun.secret import Redactor, redact, redact_command
from objrun.submission.launch import secrets_of
from tests.api.places import contents, refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VALUE = "hunter2-in-the-keyring"


class Keys(KeyringBackend):
    """A keyring in memory; `locked` ones refuse to answer."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # it has no types
        self.locked = False
        self.passwords: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise KeyringLocked
        return self.passwords.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.passwords[service, username] = password


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[Keys]:
    """An empty keyring instead of the machine's, and nothing fetched before."""
    before, own = keyring.get_keyring(), Keys()
    keyring.set_keyring(own)
    monkeypatch.setattr(secret, "FETCHED", Redactor())
    yield own
    keyring.set_keyring(before)


class TestWhere:
    @pytest.mark.parametrize(
        "variable", ["OBJRUN_SECRET_DB_PASSWORD", "db-password", "DB_PASSWORD"]
    )
    def test_in_the_environment(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, variable: str
    ) -> None:
        monkeypatch.setenv(variable, VALUE)
        assert run.get_secret("db-password") == VALUE
        assert run.get_secrets(["db-password"]) == {"db-password": VALUE}

    def test_first_those_for_objrun(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH_X", "another's")
        monkeypatch.setenv("OBJRUN_SECRET_PATH_X", VALUE)
        assert run.get_secret("path_x") == VALUE
        monkeypatch.setenv("OBJRUN_SECRET_PATH_X", "")
        assert run.get_secret("path_x") == "another's"

    def test_in_the_keyring(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        keyring.set_password("objrun", "db-password", VALUE)
        assert run.get_secret("db-password") == VALUE
        monkeypatch.setenv("DB_PASSWORD", "of the environment")
        assert run.get_secret("db-password") == "of the environment"

    def test_what_is_missing_is_none_and_told(self, run: Run, keys: Keys) -> None:
        keyring.set_password("objrun", "there", VALUE)
        with pytest.warns(SecretWarning, match="keyring: one, two") as caught:
            assert run.get_secrets(["one", "there", "two"]) == {
                **dict.fromkeys(["one", "two"]),
                "there": VALUE,
            }
        assert caught[0].filename == __file__
        keys.locked = True
        with pytest.warns(SecretWarning, match="there"):
            assert run.get_secret("there") is None

    def test_without_the_package_the_extra_is_named(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(secret, "has_keyring", lambda: False)
        monkeypatch.setattr("objrun.runs.source.has_keyring", lambda: False)
        with pytest.warns(SecretWarning, match=r"pip install 'objrun\[keyring\]'"):
            assert run.get_secret("x") is None

    def test_an_offline_run_finds_them_too(self) -> None:
        keyring.set_password("objrun", "db", VALUE)
        assert OfflineRun().get_secret("db") == VALUE
        assert OfflineRun().get_secrets(["db"]) == {"db": VALUE}


@pytest.fixture
def value(run: Run, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DB", VALUE)
    found = run.get_secret("db")
    assert found
    return found


class TestNeverShown:
    def test_it_is_text_but_for_its_repr(self, run: Run, value: str) -> None:
        assert (value, f"{value}", json.dumps(value)) == (VALUE, VALUE, f'"{VALUE}"')
        assert VALUE not in repr(value)
        assert VALUE not in repr(run.get_secrets(["db"]))
        assert VALUE not in repr(secret.FETCHED) + repr(run) + repr(vars(run))

    def test_it_is_never_stored(self, run: Run, value: str) -> None:
        ws = run.experiment.workspace
        for act in (
            lambda: run.tag("db", value),
            lambda: run.set_tags({"db": value}),
            lambda: run.add_properties({"db": value}),
            lambda: run.log_params({"db": value}),
            lambda: run.log("db", value),
            lambda: run.log_list("db", ["a", value]),
            lambda: run.log_row("db", a=value),
            lambda: run.log_table("db", {"a": [value]}),
            lambda: setattr(run, "description", value),
            lambda: run.experiment.start_logging(tags={"db": value}),
        ):
            with refused(ws, UserErrorException, "secret"):
                act()

    def test_nor_in_errors_or_commands(
        self, run: Run, value: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sys.orig_argv", ["t", f"--x={value}"])
        child = run.child_run()
        child.fail(ValueError(f"cannot log in with {value}"))
        assert child.get_details()["error"]["error"]["message"].endswith("log in with ***")
        assert not [
            key
            for key, data in contents(run.experiment.workspace).items()
            if VALUE.encode() in data
        ]

    def test_a_pickled_run_does_not_carry_it(self, run: Run, value: str) -> None:
        assert value.encode() not in pickle.dumps(run)


class TestRedactor:
    @given(st.text(min_size=4), st.text(), st.text())
    def test_a_value_is_gone(self, value: str, before: str, after: str) -> None:
        redactor = Redactor()
        redactor.add(value)
        text = redactor.redact(before + value + after)
        if len(value.strip()) >= secret.SHORTEST and value.strip() not in secret.MASK * 4:
            assert value not in text

    def test_lines_and_forms_of_a_value_are_gone(self) -> None:
        redactor = Redactor()
        redactor.add("-----BEGIN\nfirst line\nsecond/line\n-----END")
        assert redactor.redact("first line, second%2Fline, second/line") == "***, ***, ***"

    def test_the_longest_counts(self) -> None:
        redactor = Redactor()
        for value in ("abcd", "abcdefgh", "cdef", "a"):
            redactor.add(value)
        assert redactor.redact("abcdefgh abcd a") == "*** *** a"

    def test_nothing_known_changes_nothing(self) -> None:
        assert redact("a text") == "a text"

    def test_many_threads(self) -> None:
        redactor = Redactor()
        values = [f"value-{number}-x" for number in range(100)]
        threads = [threading.Thread(target=redactor.add, args=(value,)) for value in values]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(redactor.redact(" ".join(values)).split()) == {"***"}


def test_a_process_without_keyring_starts_no_keyring(tmp_path: Path) -> None:
    """It is imported when a secret is looked for that the environment does not have."""
    program = f"""
import os, sys
from objrun import Experiment, Workspace
os.environ["DB"] = "{VALUE}"
run = Experiment(Workspace({str(tmp_path)!r}), "e").start_logging()
assert run.get_secret("db") == "{VALUE}"
print("keyring" in sys.modules, "pathspec" in sys.modules, "zipfile" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout == "False False False\n"


@pytest.mark.parametrize(
    ("argument", "shown"),
    [
        ("t.py --password hunter2secret --lr 0.1", "t.py --password *** --lr 0.1"),
        ("curl -H 'Authorization: Basic abcdef=='", "curl -H 'Authorization: Basic ***'"),
        ("x --header bearer abc.def-1", "x --header bearer ***"),
        ("t.py --max-tokens 5 --mode basic --all", "t.py --max-tokens 5 --mode basic --all"),
    ],
)
def test_a_command_in_one_argument_shows_none(argument: str, shown: str) -> None:
    assert redact_command(["/bin/sh", "-c", argument]) == ["/bin/sh", "-c", shown]


def test_a_very_long_argument_takes_no_time() -> None:
    """Each start of a run looks at its command; this was minutes once."""
    assert redact_command(["a" * 10**6]) == ["a" * 10**6]


def test_secrets_of_a_store_are_found_in_connection_strings() -> None:
    text = "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=c2VjcmV0=="
    assert [*secrets_of({"connection_string": text})] == [text, "c2VjcmV0=="]
