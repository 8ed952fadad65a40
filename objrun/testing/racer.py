"""One process of a race: `python -m objrun.testing.racer URL OPTIONS_AS_JSON NAME`.

It reads a key from each line of its input, tries to create it with a body that names the racer, and
answers "won", "lost" or "unknown". The starter sends the same key to several racers at once.
"""

from __future__ import annotations

import json
import sys

from objrun.errors import AlreadyExistsError, UnavailableError
from objrun.storage import connect

__all__ = ["body_of", "main"]


def body_of(racer: str, key: str) -> bytes:
    """Return what a racer stores: long enough that a torn object would show.

    >>> len(body_of("1", "race/0")) > 10_000
    True
    """
    return f"{racer} was first at {key}\n".encode() * 1000


def main() -> None:
    """Race until the input ends."""
    url, options, racer = sys.argv[1:]
    store = connect(url, **json.loads(options))
    for line in sys.stdin:
        key = line.rstrip("\n")
        try:
            store.put_if_absent(key, body_of(racer, key))
        except AlreadyExistsError:
            outcome = "lost"
        except UnavailableError:
            outcome = "unknown"
        else:
            outcome = "won"
        sys.stdout.write(f"{outcome}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
