"""The rules of names: run ids, experiments, metrics, tags and properties (SPEC section 3)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from objrun.errors import UserErrorException, WebserviceException

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_RUN_ID: Final = 200
"""Characters of a run id at most, so that every key piece stays below 255 bytes."""

MAX_EXPERIMENT: Final = 255
"""Characters of an experiment's name at most."""

MAX_KEY: Final = 1000
"""Characters at most of the name of a metric, column, tag, property or parameter."""

MAX_MODEL: Final = 255
"""Characters of the name of a model at most."""

_SHOWN: Final = 10
_COMPARED: Final = 5_000

_RUN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*", re.ASCII)
_EXPERIMENT: Final = re.compile(r"[A-Za-z0-9][\w-]*")
_PIECE: Final = r"(?!\.{1,2}(?:/|$))[^/\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+"
_FILE_NAME: Final = re.compile(rf"{_PIECE}(?:/{_PIECE})*")


def is_run_id(text: str) -> bool:
    """Return whether `text` can be a run id; readers ask this of what they find in a store.

    >>> is_run_id("digits_1.a"), is_run_id("..")
    (True, False)
    """
    return len(text) <= MAX_RUN_ID and _RUN_ID.fullmatch(text) is not None


def check_run_id(run_id: object) -> str:
    """Return `run_id` if it can be one, else raise UserErrorException saying what it may hold.

    >>> check_run_id("digits_1.a")
    'digits_1.a'
    """
    if not isinstance(run_id, str):
        message = f"a run id is text, not {type(run_id).__name__}"
        raise UserErrorException(message)
    if not is_run_id(run_id):
        message = (
            f"{_shown(run_id)} is no run id: it has 1 to {MAX_RUN_ID} of A-Z a-z 0-9 _ - . "
            "and begins with a letter or digit"
        )
        raise UserErrorException(message)
    return run_id


def is_experiment(text: str) -> bool:
    """Return whether `text` can name an experiment; readers ask this of what they find in a store.

    >>> is_experiment("mnist-2"), is_experiment("a.b")
    (True, False)
    """
    return 0 < len(text) <= MAX_EXPERIMENT and _EXPERIMENT.fullmatch(text) is not None


def check_experiment(name: object) -> str:
    """Return `name` if it can name an experiment, else raise UserErrorException.

    >>> check_experiment("mnist-2")
    'mnist-2'
    """
    if not isinstance(name, str):
        message = f"an experiment's name is text, not {type(name).__name__}"
        raise UserErrorException(message)
    if not is_experiment(name):
        message = (
            f"{_shown(name)} cannot name an experiment: it has 1 to {MAX_EXPERIMENT} letters, "
            "digits, _ or - and begins with an ASCII letter or digit"
        )
        raise UserErrorException(message)
    _check_unicode(name, "an experiment's name")
    return name


def check_key(name: object, what: str) -> str:
    """Return `name` if it can be the name of `what` ("metric", "tag", ...), else raise.

    Any text goes, `MAP@k[0.5]` and `val/acc` too; only emptiness, over-length and text that is
    not valid Unicode are refused with UserErrorException.

    >>> check_key("val/acc", "metric")
    'val/acc'
    """
    if not isinstance(name, str):
        message = f"the name of a {what} is text, not {type(name).__name__}"
        raise UserErrorException(message)
    if not 0 < len(name) <= MAX_KEY:
        message = f"the name of a {what} has 1 to {MAX_KEY} characters, not {len(name)}"
        raise UserErrorException(message)
    _check_unicode(name, f"the name of a {what}")
    return name


def is_model(text: str) -> bool:
    """Return whether `text` can name a model; readers ask this of what they find in a store.

    >>> is_model("digits-v2.onnx"), is_model(".."), is_model("a/b")
    (True, False, False)
    """
    return len(text) <= MAX_MODEL and _RUN_ID.fullmatch(text) is not None


def check_model(name: object) -> str:
    """Return `name` if it can name a model, else raise WebserviceException.

    >>> check_model("digits-v2.onnx")
    'digits-v2.onnx'
    """
    if not isinstance(name, str) or not is_model(name):
        message = (
            f"{_shown(str(name))} cannot name a model: it has 1 to {MAX_MODEL} of "
            "A-Z a-z 0-9 - . _ and begins with a letter or digit"
        )
        raise WebserviceException(message)
    return name


def is_file_name(text: str) -> bool:
    """Return whether `text` can name a file of a run: a relative path that leaves no folder.

    >>> is_file_name("outputs/model.pt"), is_file_name("../x"), is_file_name("a//b")
    (True, False, False)
    """
    return 0 < len(text) <= MAX_KEY and _FILE_NAME.fullmatch(text) is not None


def check_file_name(name: object) -> str:
    """Return `name`, without a leading `./`, if it can name a file of a run, else raise.

    >>> check_file_name("./outputs/model.pt")
    'outputs/model.pt'
    """
    if not isinstance(name, str):
        message = f"the name of a file is text, not {type(name).__name__}"
        raise UserErrorException(message)
    text = name.removeprefix("./")
    if not is_file_name(text):
        message = (
            f"{_shown(name)} cannot name a file of a run: it is a path of 1 to {MAX_KEY} "
            "characters such as outputs/model.pt, relative, with single slashes, without '.' or "
            "'..' as a piece, backslashes or control characters"
        )
        raise UserErrorException(message)
    _check_unicode(text, "the name of a file")
    return text


def choices(name: str, there: Iterable[str]) -> str:
    """Return what helps who asked for a name that is not `there`: near ones, then what there is.

    >>> choices("los", ["accuracy", "loss"]), choices("los", [])
    ("perhaps 'loss'; it has accuracy, loss", 'it has none')
    """
    import difflib  # nobody pays for it who asks for what there is

    names = [*dict.fromkeys(there)]
    near = " or ".join(map(repr, difflib.get_close_matches(name, names[:_COMPARED], 3, 0.7)))
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    return (f"perhaps {near}; " if near else "") + (f"it has {shown}" if names else "it has none")


def check_text(text: str, what: str) -> str:
    """Return `text` if UTF-8 can hold it, else raise UserErrorException: lone surrogates cannot.

    >>> check_text("naïve", "a tag")
    'naïve'
    """
    _check_unicode(text, what)
    return text


def _check_unicode(text: str, what: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        message = f"{what} is not valid Unicode: {text[:80]!r}"
        raise UserErrorException(message) from None


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:77]}...")
