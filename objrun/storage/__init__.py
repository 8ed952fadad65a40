"""The bucket: one protocol per verb, and a store for a folder, for memory, and for every cloud.

`open_store(url)` is the way in: it connects and proves that the store refuses the second of two
creates. Importing this package imports no client of any cloud.
"""

from __future__ import annotations

from objrun.storage.local import LocalStore
from objrun.storage.memory import MemoryStore
from objrun.storage.opening import connect, open_store
from objrun.storage.probe import prove
from objrun.storage.together import in_flight, together
from objrun.storage.verbs import (
    Delete,
    Folders,
    Get,
    GetRange,
    List,
    Now,
    ObjectInfo,
    Put,
    PutIfAbsent,
    Store,
    Upload,
)
from objrun.storage.wrappers import Asked, CountingStore, Fault, FaultyStore, LatencyStore

__all__ = [
    "Asked",
    "CountingStore",
    "Delete",
    "Fault",
    "FaultyStore",
    "Folders",
    "Get",
    "GetRange",
    "LatencyStore",
    "List",
    "LocalStore",
    "MemoryStore",
    "Now",
    "ObjectInfo",
    "Put",
    "PutIfAbsent",
    "Store",
    "Upload",
    "connect",
    "in_flight",
    "open_store",
    "prove",
    "together",
]
