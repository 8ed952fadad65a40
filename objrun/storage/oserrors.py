"""From an error number of the operating system to an error of the store.

Local stores raise these directly, and some remote file systems report them too (a full quota, a
broken connection), so both look here.
"""

from __future__ import annotations

import errno

from objrun.errors import (
    NotFoundError,
    ObjrunError,
    PermissionDeniedError,
    StoreError,
    StoreFullError,
    UnavailableError,
    UserErrorException,
)

__all__ = ["ABSENT", "CATEGORIES", "classify_os_error"]

ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR})
"""Numbers that mean "no object has this key": no file, a file for a folder, a link, a folder."""

CATEGORIES: dict[int, type[StoreError]] = {
    **dict.fromkeys(ABSENT, NotFoundError),
    errno.ENOSPC: StoreFullError,
    errno.EDQUOT: StoreFullError,
    errno.EACCES: PermissionDeniedError,
    errno.EPERM: PermissionDeniedError,
    errno.EROFS: PermissionDeniedError,
}
"""The category of each number; those not named here are taken to pass (EIO, EMFILE, ESTALE...)."""


def classify_os_error(error: OSError, what: str) -> ObjrunError:
    """Return the error that `error` means, its message begun with `what` was being done.

    >>> classify_os_error(OSError(errno.ENOSPC, "No space left on device"), "cannot store a.json")
    StoreFullError('cannot store a.json: No space left on device')
    """
    told = f"{what}: {error.strerror or error}"
    if error.errno == errno.ENAMETOOLONG:
        return UserErrorException(f"{told} (a piece of a key holds at most 255 bytes here)")
    if error.errno in (errno.EEXIST, errno.EXDEV):
        return StoreError(told)
    return CATEGORIES.get(error.errno or 0, UnavailableError)(told)
