"""Keys of logs: text that a run prints, as chunks of bytes. SPEC sections 3 and 9.9."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from objrun.errors import UserErrorException
from objrun.format.keys import OFFSET_DIGITS, decode_name, encode_name, is_number, run_folder
from objrun.format.names import is_file_name, is_run_id

FOLDER: Final = "logs/"
"""What stands before the name of a stream where it is shown among the files of its run."""

_WRITER: Final = re.compile("[0-9a-f]{16}")


class ChunkKey(NamedTuple):
    """What the key of a chunk says: bytes `[start, stop)` of a writer of a stream.

    >>> ChunkKey("r1", "std_log.txt", "0199c0ffee00beef", 0, 10).stop
    10
    """

    run: str
    stream: str
    writer: str
    start: int
    stop: int


def logs(run: str) -> str:
    """Return the prefix of all logs of a run.

    >>> logs("r1")
    'runs/r1/logs/'
    """
    return f"{run_folder(run)}logs/"


def stream_folder(run: str, stream: str) -> str:
    """Return the prefix of one stream's chunks; UserErrorException for what is no name of one.

    >>> stream_folder("r1", "worker 1/std_log.txt")
    'runs/r1/logs/worker%201%2Fstd_log.txt/'
    """
    piece = encode_name(stream)
    if "~" in piece or not is_file_name(FOLDER + stream):
        message = f"{stream!r:.200} cannot be the name of a log: it is a short relative path"
        raise UserErrorException(message)
    return f"{logs(run)}{piece}/"


def chunk(key: ChunkKey) -> str:
    """Return the key of a chunk.

    >>> chunk(ChunkKey("r1", "std_log.txt", "0199c0ffee00beef", 0, 10))
    'runs/r1/logs/std_log.txt/0199c0ffee00beef-000000000000-000000000010'
    """
    span = f"{key.start:0{OFFSET_DIGITS}d}-{key.stop:0{OFFSET_DIGITS}d}"
    return f"{stream_folder(key.run, key.stream)}{key.writer}-{span}"


def parse_chunk(key: str) -> ChunkKey | None:
    """Return what the key of a chunk says, None where it is no such key.

    >>> key = ChunkKey("r1", "std_log.txt", "0199c0ffee00beef", 0, 10)
    >>> parse_chunk(chunk(key)) == key, parse_chunk("runs/r1/logs/std_log.txt/1-2-3")
    (True, None)
    """
    match key.split("/"):
        case ["runs", run, "logs", piece, name] if is_run_id(run):
            stream = decode_name(piece)
            match name.split("-"):
                case [writer, start, stop] if (
                    stream
                    and is_file_name(FOLDER + stream)
                    and _WRITER.fullmatch(writer)
                    and is_number(start, OFFSET_DIGITS)
                    and is_number(stop, OFFSET_DIGITS)
                    and int(start) < int(stop)
                ):
                    return ChunkKey(run, stream, writer, int(start), int(stop))
    return None
