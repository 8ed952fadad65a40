"""From whatever a client raised to an error of the store, judged by the cause.

Clients translate what a server said into Python's own exceptions and lose the difference on the
way: s3fs says "invalid argument" for some refused creates and "input/output error" for a conflict,
adlfs says "exists" for every 409. So the chain of causes is searched for the server's own answer,
its status and its code, and only if there is none do the types of the exceptions count.

The tables come first; each line is a fact about a server. Nothing here imports a client.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from objrun.errors import (
    AlreadyExistsError,
    BucketNotFoundError,
    CredentialsError,
    InvalidURLError,
    NotFoundError,
    ObjrunError,
    PermissionDeniedError,
    StoreError,
    StoreFullError,
    UnavailableError,
    UnsafeStoreError,
)
from objrun.storage.location import AZURE, GCS, S3
from objrun.storage.oserrors import classify_os_error

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Answer", "answer_of", "category_of", "classify"]

Category = type[StoreError]

CODES: Final[dict[str, dict[str, Category]]] = {
    S3: {
        "PreconditionFailed": AlreadyExistsError,
        # Two creates met, and neither has won yet: ask again.
        "ConditionalRequestConflict": UnavailableError,
        "OperationAborted": UnavailableError,
        "NoSuchKey": NotFoundError,
        "NoSuchBucket": BucketNotFoundError,
        "AccessDenied": PermissionDeniedError,
        "AllAccessDisabled": PermissionDeniedError,
        "InvalidAccessKeyId": CredentialsError,
        "SignatureDoesNotMatch": CredentialsError,
        "ExpiredToken": CredentialsError,
        "ExpiredTokenException": CredentialsError,
        "InvalidToken": CredentialsError,
        "TokenRefreshRequired": CredentialsError,
        "RequestTimeTooSkewed": CredentialsError,
        "RequestTimeout": UnavailableError,
        "SlowDown": UnavailableError,
        # Some servers say so when asked to create: they know no conditions.
        "NotImplemented": UnsafeStoreError,
        "QuotaExceeded": StoreFullError,
        "XMinioStorageFull": StoreFullError,
    },
    GCS: {},
    AZURE: {
        "BlobAlreadyExists": AlreadyExistsError,
        # A token that may create but not overwrite is refused this way.
        "UnauthorizedBlobOverwrite": AlreadyExistsError,
        "BlobNotFound": NotFoundError,
        "ContainerNotFound": BucketNotFoundError,
        "ContainerBeingDeleted": BucketNotFoundError,
        "ContainerDisabled": BucketNotFoundError,
        "AuthenticationFailed": CredentialsError,
        "InvalidAuthenticationInfo": CredentialsError,
        "NoAuthenticationInformation": CredentialsError,
        "LeaseIdMissing": PermissionDeniedError,
        "BlobImmutableDueToPolicy": PermissionDeniedError,
        "SnapshotsPresent": PermissionDeniedError,
    },
}
"""By backend, the codes that say more than the status they come with."""

STATUSES: Final[dict[int, Category]] = {
    401: CredentialsError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: UnavailableError,
    409: UnavailableError,
    412: AlreadyExistsError,
    423: PermissionDeniedError,
    425: UnavailableError,
    429: UnavailableError,
    507: StoreFullError,
}
"""By status, for every backend; any other 5xx is `UnavailableError`, any other 4xx `StoreError`."""

NAMES: Final[dict[str, Category]] = {
    # botocore
    "NoCredentialsError": CredentialsError,
    "PartialCredentialsError": CredentialsError,
    "CredentialRetrievalError": CredentialsError,
    "TokenRetrievalError": CredentialsError,
    "SSOError": CredentialsError,
    "ProfileNotFound": CredentialsError,
    "ParamValidationError": InvalidURLError,
    "HTTPClientError": UnavailableError,
    "ResponseStreamingError": UnavailableError,
    "IncompleteReadError": UnavailableError,
    # google.auth
    "TransportError": UnavailableError,
    "GoogleAuthError": CredentialsError,
    # azure.core, azure.identity
    "ClientAuthenticationError": CredentialsError,
    "ServiceRequestError": UnavailableError,
    "ServiceResponseError": UnavailableError,
    # gcsfs, aiohttp, requests, fsspec, Python
    "ChecksumError": UnavailableError,
    "ClientError": UnavailableError,
    "RequestException": UnavailableError,
    "FSTimeoutError": UnavailableError,
    "TimeoutError": UnavailableError,
    "ConnectionError": UnavailableError,
    "EOFError": UnavailableError,
    "FileNotFoundError": NotFoundError,
    "NotADirectoryError": NotFoundError,
    "IsADirectoryError": NotFoundError,
    "FileExistsError": AlreadyExistsError,
    "PermissionError": PermissionDeniedError,
    # An option or a verb that the client does not know.
    "TypeError": InvalidURLError,
    "NotImplementedError": UnsafeStoreError,
}
"""By the name of a class of the exception or of one of its bases, when no server has answered."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said: the HTTP status, and the code in the body ("" if it has none)."""

    status: int
    code: str


def answer_of(error: BaseException) -> Answer | None:
    """Return the server's own answer from the causes of `error`, or None if there was none.

    >>> answer_of(OSError("reset")) is None
    True
    """
    for cause in _causes(error):
        # botocore keeps the parsed answer; azure.core has two attributes; gcsfs and aiohttp one.
        response = getattr(cause, "response", None)
        if isinstance(response, dict) and "Error" in response:
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            return Answer(int(status), str(response["Error"].get("Code", "")))
        code = getattr(cause, "error_code", None)
        for name in ("status_code", "status", "code"):
            status = getattr(cause, name, None)
            if isinstance(status, int | str) and str(status).isdecimal():
                return Answer(int(status), str(getattr(code, "value", code) or ""))
    return None


def category_of(scheme: str, answer: Answer) -> Category:
    """Return the category of an answer of a backend.

    >>> category_of("s3", Answer(409, "ConditionalRequestConflict")).__name__
    'UnavailableError'
    >>> category_of("abfs", Answer(409, "BlobAlreadyExists")).__name__
    'AlreadyExistsError'
    >>> category_of("gs", Answer(418, "")).__name__
    'StoreError'
    """
    named = CODES.get(scheme, {}).get(answer.code)
    if named is not None:
        return named
    if answer.status >= 500:
        return STATUSES.get(answer.status, UnavailableError)
    return STATUSES.get(answer.status, StoreError)


def classify(
    error: Exception, scheme: str, what: str, *, absent: Category = NotFoundError
) -> ObjrunError:
    """Return the error of the store that `error` means; its message begins with `what`.

    `absent` is what a missing thing means to this verb: to a write or a listing it is the bucket.

    >>> classify(FileExistsError("a.json"), "gs", "cannot create a.json")
    AlreadyExistsError('cannot create a.json: a.json')
    """
    answer = answer_of(error)
    said = str(error).partition("\n")[0]  # Azure's client appends the whole answer
    if answer is not None:
        category = category_of(scheme, answer)
        message = f"{what}: {said} ({f'{answer.status} {answer.code}'.strip()})"
    elif str(error).startswith("Forbidden"):  # what gcsfs makes of a 403, without a cause
        category, message = PermissionDeniedError, f"{what}: {error}"
    else:
        named = _by_name(error)
        if named is None and isinstance(error, OSError):
            return classify_os_error(error, what)
        category, message = named or StoreError, f"{what}: {said or type(error).__name__}"
    return (absent if category is NotFoundError else category)(message)


def _by_name(error: BaseException) -> Category | None:
    for cause in _causes(error):
        for kind in type(cause).__mro__:
            if kind.__name__ in NAMES:
                return NAMES[kind.__name__]
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        yield cause
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__
