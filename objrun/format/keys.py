"""Every key of a store: SPEC section 3. Building and parsing are pure and exact inverses.

Numbers in keys are zero-padded so that listings come back in order; names that people choose
are percent-encoded, so no name can leave its folder.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from objrun.format.names import is_run_id

HEADER: Final = "objrun.json"
"""The object that makes a prefix of a bucket an objrun store."""

PROBE: Final = "objrun.probe"
"""The object, and the prefix of objects, by which a store is proven; no reader looks at it."""

EXPERIMENTS: Final = "experiments/"
"""The folder of all experiments."""

VERSION_DIGITS: Final = 8
"""Digits of a version in a chain (`state/00000001.json`) and of a run number."""

MAX_VERSION: Final = 10**VERSION_DIGITS - 1
"""The last version that a key can name."""

OFFSET_DIGITS: Final = 12
"""Digits of an offset in a segment's name."""

BUCKET_SIZE: Final = 1000
"""Run numbers in one folder below `numbers/`: one page of a listing."""

DRAWN: Final = 50_000_000
"""Run numbers from here on are drawn at random; those below are claimed in order."""

TABLE_KINDS: Final = ("runs", "summary", "metrics", "coverage", "cuts")
"""Kinds of compacted tables."""

NONCE_DIGITS: Final = 16
"""Hexadecimal digits in a table's name that are random."""

BUCKET_DIGITS: Final = 5
"""Digits of the folder's name below `numbers/`."""

MAX_PIECE: Final = 180
"""Bytes of an encoded name; longer ones are cut and end in `~` and a SHA-256."""

_KEPT_PREFIX: Final = 100

_CUT: Final = "rewind-"
_STEP: Final = re.compile("0|-?[1-9][0-9]{0,18}")


class SegmentKey(NamedTuple):
    """What the name of a segment says: rows `[start, stop)` of `writer` in `run`.

    >>> SegmentKey("mnist", "r1", "00ff", 0, 10).stop
    10
    """

    experiment: str
    run: str
    writer: str
    start: int
    stop: int


class CutKey(NamedTuple):
    """What the name of a cut says: rows of `writer` in `run` from `step` on were superseded."""

    run: str
    writer: str
    step: int


class Marker(NamedTuple):
    """What a feed marker says: `run` may have reached `version`.

    >>> Marker("r1", 2).version
    2
    """

    run: str
    version: int


class TableKey(NamedTuple):
    """What the name of a table says: its kind, and the checkpoint that it was based on (0: none).

    >>> TableKey(3, "00ff00ff00ff00ff", "runs").base
    3
    """

    base: int
    nonce: str
    kind: str


def encode_name(name: str) -> str:
    """Return `name` as one piece of a key: percent-encoded UTF-8, reversible up to MAX_PIECE bytes.

    A longer name keeps its first 100 encoded bytes, then `~` and its SHA-256; the document behind
    the key has the name in full.

    >>> encode_name("azureml.git.commit"), encode_name("a/b ü"), encode_name("../x")
    ('azureml.git.commit', 'a%2Fb%20%C3%BC', '%2E.%2Fx')
    """
    piece = quote(name, safe="").replace("~", "%7E")
    if piece.startswith("."):
        piece = "%2E" + piece[1:]
    if len(piece) <= MAX_PIECE:
        return piece
    import hashlib  # rarely needed, and a worker starts faster without

    return f"{piece[:_KEPT_PREFIX]}~{hashlib.sha256(name.encode()).hexdigest()}"


def decode_name(piece: str) -> str | None:
    """Return the name that `encode_name` made `piece` of, None where it was cut or is not its work.

    >>> decode_name("a%2Fb%20%C3%BC"), decode_name("long~00"), decode_name("%61")
    ('a/b ü', None, None)
    """
    try:
        name = unquote(piece, errors="strict")
        return name if "~" not in piece and encode_name(name) == piece else None
    except UnicodeError:
        return None


def _version(number: int) -> str:
    return f"{number:0{VERSION_DIGITS}d}"


def experiment_folder(experiment: str) -> str:
    """Return the prefix of everything of an experiment.

    >>> experiment_folder("mnist")
    'experiments/mnist/'
    """
    return f"{EXPERIMENTS}{encode_name(experiment)}/"


def experiment_state(experiment: str, version: int) -> str:
    """Return the key of one version of an experiment's chain.

    >>> experiment_state("mnist", 1)
    'experiments/mnist/state/00000001.json'
    """
    return f"{experiment_folder(experiment)}state/{_version(version)}.json"


def experiment_states(experiment: str) -> str:
    """Return the prefix of an experiment's chain.

    >>> experiment_states("mnist")
    'experiments/mnist/state/'
    """
    return f"{experiment_folder(experiment)}state/"


def number(experiment: str, n: int) -> str:
    """Return the key that claims run number `n` of an experiment.

    >>> number("mnist", 1234)
    'experiments/mnist/numbers/00001/00001234.json'
    """
    return f"{number_bucket(experiment, n // BUCKET_SIZE)}{_version(n)}.json"


def numbers(experiment: str) -> str:
    """Return the prefix of an experiment's number claims.

    >>> numbers("mnist")
    'experiments/mnist/numbers/'
    """
    return f"{experiment_folder(experiment)}numbers/"


def number_bucket(experiment: str, bucket: int) -> str:
    """Return the prefix of the claims `bucket * 1000` to `bucket * 1000 + 999`.

    >>> number_bucket("mnist", 1)
    'experiments/mnist/numbers/00001/'
    """
    return f"{numbers(experiment)}{bucket:0{BUCKET_DIGITS}d}/"


def feed(experiment: str) -> str:
    """Return the prefix of an experiment's markers.

    >>> feed("mnist")
    'experiments/mnist/feed/'
    """
    return f"{experiment_folder(experiment)}feed/"


def marker(experiment: str, run: str, version: int) -> str:
    """Return the key of the marker that goes before version `version` of a run.

    >>> marker("mnist", "r1", 2)
    'experiments/mnist/feed/r1.00000002'
    """
    return f"{feed(experiment)}{run}.{_version(version)}"


def parse_marker(key: str) -> Marker | None:
    """Return what a marker's key says, None where it is not a marker's.

    >>> parse_marker("experiments/mnist/feed/r1.00000002")
    Marker(run='r1', version=2)
    """
    run, _, version = key.rpartition("/")[2].rpartition(".")
    known = is_run_id(run) and is_number(version, VERSION_DIGITS)
    return Marker(run, int(version)) if known else None


def shards(experiment: str, run: str | None = None) -> str:
    """Return the prefix of an experiment's segments, or of one run's.

    >>> shards("mnist"), shards("mnist", "r1")
    ('experiments/mnist/shards/', 'experiments/mnist/shards/r1/')
    """
    return f"{experiment_folder(experiment)}shards/" + (f"{run}/" if run else "")


def segment(experiment: str, run: str, writer: str, start: int, stop: int) -> str:
    """Return the key of rows `[start, stop)` of a writer.

    >>> segment("mnist", "r1", "00ff", 0, 10)
    'experiments/mnist/shards/r1/00ff-000000000000-000000000010.parquet'
    """
    rows = f"{start:0{OFFSET_DIGITS}d}-{stop:0{OFFSET_DIGITS}d}"
    return f"{shards(experiment, run)}{writer}-{rows}.parquet"


def parse_segment(key: str) -> SegmentKey | None:
    """Return what a segment's key says, None where it is not a segment's.

    >>> parse_segment("experiments/mnist/shards/r1/00ff-000000000000-000000000010.parquet")
    SegmentKey(experiment='mnist', run='r1', writer='00ff', start=0, stop=10)
    """
    pieces = key.split("/")
    if len(pieces) != 5 or not pieces[4].endswith(".parquet") or not is_run_id(pieces[3]):
        return None
    writer, _, rows = pieces[4].removesuffix(".parquet").partition("-")
    start, _, stop = rows.partition("-")
    if not (writer and is_number(start, OFFSET_DIGITS) and is_number(stop, OFFSET_DIGITS)):
        return None
    if int(start) >= int(stop):
        return None
    return SegmentKey(decode_name(pieces[1]) or "", pieces[3], writer, int(start), int(stop))


def cut(experiment: str, run: str, writer: str, step: int) -> str:
    """Return the key that cuts a writer at a step; it is listed behind all segments of the run.

    >>> cut("mnist", "r1", "00ff", -5)
    'experiments/mnist/shards/r1/rewind-00ff--5'
    """
    return f"{shards(experiment, run)}{_CUT}{writer}-{step}"


def parse_cut(key: str) -> CutKey | None:
    """Return what the key of a cut says, None where it is not that of a cut.

    >>> parse_cut("experiments/mnist/shards/r1/rewind-00ff--5")
    CutKey(run='r1', writer='00ff', step=-5)
    """
    pieces = key.split("/")
    if len(pieces) != 5 or not pieces[4].startswith(_CUT) or not is_run_id(pieces[3]):
        return None
    writer, _, digits = pieces[4].removeprefix(_CUT).partition("-")
    if not (writer and _STEP.fullmatch(digits) and -(2**63) <= int(digits) < 2**63):
        return None
    return CutKey(pieces[3], writer, int(digits))


def checkpoints(experiment: str) -> str:
    """Return the prefix of an experiment's checkpoints.

    >>> checkpoints("mnist")
    'experiments/mnist/checkpoints/'
    """
    return f"{experiment_folder(experiment)}checkpoints/"


def checkpoint(experiment: str, number: int) -> str:
    """Return the key of one checkpoint.

    >>> checkpoint("mnist", 1)
    'experiments/mnist/checkpoints/00000001.json'
    """
    return f"{checkpoints(experiment)}{_version(number)}.json"


def tables(experiment: str) -> str:
    """Return the prefix of an experiment's compacted tables.

    >>> tables("mnist")
    'experiments/mnist/tables/'
    """
    return f"{experiment_folder(experiment)}tables/"


def table(experiment: str, name: TableKey) -> str:
    """Return the key of a compacted table.

    >>> table("mnist", TableKey(3, "00ff00ff00ff00ff", "runs"))
    'experiments/mnist/tables/00000003-00ff00ff00ff00ff-runs.parquet'
    """
    return f"{tables(experiment)}{_version(name.base)}-{name.nonce}-{name.kind}.parquet"


def parse_table(key: str) -> TableKey | None:
    """Return what a table's key or name says, None where it is not a table's.

    >>> parse_table("experiments/mnist/tables/00000003-00ff00ff00ff00ff-runs.parquet")
    TableKey(base=3, nonce='00ff00ff00ff00ff', kind='runs')
    """
    base, _, rest = key.rpartition("/")[2].removesuffix(".parquet").partition("-")
    nonce, _, kind = rest.partition("-")
    is_nonce = len(nonce) == NONCE_DIGITS and not nonce.strip("0123456789abcdef")
    known = key.endswith(".parquet") and kind in TABLE_KINDS and is_nonce
    return TableKey(int(base), nonce, kind) if known and is_number(base, VERSION_DIGITS) else None


def run_folder(run: str) -> str:
    """Return the prefix of a run's own objects.

    >>> run_folder("r1")
    'runs/r1/'
    """
    return f"runs/{run}/"


def run_state(run: str, version: int) -> str:
    """Return the key of one version of a run's chain.

    >>> run_state("r1", 1)
    'runs/r1/state/00000001.json'
    """
    return f"{run_folder(run)}state/{_version(version)}.json"


def run_states(run: str) -> str:
    """Return the prefix of a run's chain.

    >>> run_states("r1")
    'runs/r1/state/'
    """
    return f"{run_folder(run)}state/"


def run_property(run: str, name: str) -> str:
    """Return the key of one write-once property of a run.

    >>> run_property("r1", "data.version")
    'runs/r1/properties/data.version.json'
    """
    return f"{run_folder(run)}properties/{encode_name(name)}.json"


def parse_version(key: str) -> int | None:
    """Return the number that a chain's or a claim's key ends in, None where it ends otherwise.

    >>> parse_version("runs/r1/state/00000012.json"), parse_version("runs/r1/state/x.json")
    (12, None)
    """
    name = key.rpartition("/")[2]
    digits = name.removesuffix(".json")
    return int(digits) if digits != name and is_number(digits, VERSION_DIGITS) else None


def is_number(text: str, digits: int) -> bool:
    """Return whether a piece of a key is a number of so many digits.

    >>> is_number("00000012", 8), is_number("12", 8)
    (True, False)
    """
    return len(text) == digits and text.isascii() and text.isdigit()
