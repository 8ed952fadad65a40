"""The keys of registered models: the chains of their versions, and their files. SPEC 3 and 9.10.

The names of models are pieces of keys as they are. A file stands below a nonce of its registration,
so it can be there before the version that names it is.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from objrun.format.keys import NONCE_DIGITS, VERSION_DIGITS, encode_name, is_number, parse_version
from objrun.format.names import is_model

STATES: Final = "models/state/"
"""The prefix of the chains of all models."""

FILES: Final = "models/files/"
"""The prefix of the files of all models."""

_NEEDLESS: Final = "~needless"


class ModelState(NamedTuple):
    """What the key of a state says: version `version` of the chain of model `name:number`.

    >>> ModelState("digits", 3, 1).number
    3
    """

    name: str
    number: int
    version: int


class ModelFolder(NamedTuple):
    """The folder of the files that one registration stored.

    >>> ModelFolder("digits", "00ff00ff00ff00ff").name
    'digits'
    """

    name: str
    nonce: str


def model_states(name: str) -> str:
    """Return the prefix of the chains of a model.

    >>> model_states("digits")
    'models/state/digits/'
    """
    return f"{STATES}{name}/"


def model_version(name: str, number: int) -> str:
    """Return the prefix of the chain of one version of a model.

    >>> model_version("digits", 3)
    'models/state/digits/00000003/'
    """
    return f"{model_states(name)}{number:0{VERSION_DIGITS}d}/"


def model_state(name: str, number: int, version: int) -> str:
    """Return the key of one version of the chain of a version of a model.

    >>> model_state("digits", 3, 1)
    'models/state/digits/00000003/00000001.json'
    """
    return f"{model_version(name, number)}{version:0{VERSION_DIGITS}d}.json"


def parse_model_state(key: str) -> ModelState | None:
    """Return what the key of a state says, None where it is no such key.

    >>> parse_model_state("models/state/digits/00000003/00000001.json")
    ModelState(name='digits', number=3, version=1)
    """
    pieces = key.removeprefix(STATES).split("/")
    version = parse_version(key)
    if not key.startswith(STATES) or len(pieces) != 3 or not version:
        return None
    name, number, _ = pieces
    known = is_model(name) and is_number(number, VERSION_DIGITS) and int(number)
    return ModelState(name, int(number), version) if known else None


def model_files(name: str, nonce: str) -> str:
    """Return the prefix of the files of one registration.

    >>> model_files("digits", "00ff00ff00ff00ff")
    'models/files/digits/00ff00ff00ff00ff/'
    """
    return f"{FILES}{name}/{nonce}/"


def model_file(name: str, nonce: str, path: str) -> str:
    """Return the key of a file of a model.

    >>> model_file("digits", "00ff00ff00ff00ff", "my model/a.bin")
    'models/files/digits/00ff00ff00ff00ff/my%20model/a.bin'
    """
    return model_files(name, nonce) + "/".join(map(encode_name, path.split("/")))


def needless(name: str, nonce: str) -> str:
    """Return the key that says that the files of a registration are being removed.

    No name of a file has it.

    >>> needless("digits", "00ff00ff00ff00ff")
    'models/files/digits/00ff00ff00ff00ff/~needless'
    """
    return model_files(name, nonce) + _NEEDLESS


def parse_model_file(key: str) -> ModelFolder | None:
    """Return which registration an object belongs to by its key, None where to none.

    >>> parse_model_file("models/files/digits/00ff00ff00ff00ff/a/b")
    ModelFolder(name='digits', nonce='00ff00ff00ff00ff')
    """
    name, _, rest = key.removeprefix(FILES).partition("/")
    nonce, _, path = rest.partition("/")
    known = key.startswith(FILES) and is_model(name) and is_nonce(nonce) and path
    return ModelFolder(name, nonce) if known else None


def is_nonce(text: str) -> bool:
    """Return whether a piece of a key is a nonce.

    >>> is_nonce("00ff00ff00ff00ff"), is_nonce("..")
    (True, False)
    """
    return len(text) == NONCE_DIGITS and not text.strip("0123456789abcdef")
