"""Every error objrun raises, in one tree; a category says what the caller does next.

    ObjrunError                        catch this to catch everything of objrun
    ├── UserErrorException             the call is wrong: mend it and call again
    │   ├── PropertyConflictError      a property is write-once and holds another value
    │   ├── RunExistsError             the run id is taken: choose another
    │   ├── FileConflictError          a file is written once and holds other bytes
    │   ├── FileNotInRunError          the run has no file of this name
    │   ├── SnapshotException          a snapshot cannot be taken, or is not there
    │   └── WebserviceException        a model cannot be registered or downloaded like this
    │       ├── ModelPathNotFoundException  there are no files where the model's were to be
    │       └── ModelNotFoundError     there is no such model, or version of it
    ├── StoreError                     the store refused, failed or could not be reached
    │   ├── InvalidURLError            the URL does not name a usable store
    │   ├── NotFoundError              no object has this key
    │   ├── AlreadyExistsError         put_if_absent lost: an object has this key
    │   ├── PermissionDeniedError      the credentials are valid and do not allow this
    │   │   └── CreateOnlyError        they only create objects: what takes more is not sent
    │   ├── CredentialsError           there are no credentials, or wrong or expired ones
    │   ├── BucketNotFoundError        the bucket or container does not exist
    │   ├── UnsafeStoreError           the store lets two creates of one key win
    │   ├── StoreFullError             no space or quota is left
    │   └── UnavailableError           timeout, reset, 5xx or throttling: try again later
    ├── FormatError                    what is stored is not what the format says
    │   ├── NotAStoreError             there is no objrun store at this URL
    │   ├── UnsupportedFormatError     written for a newer objrun: upgrade
    │   └── CorruptObjectError         one object is damaged; it is named, others are readable
    ├── ServiceException               what was asked for does not exist (status_code 404)
    │   ├── RunNotFoundError           no run has this id
    │   ├── ExperimentNotFoundError    no experiment has this name
    │   └── ModelNotFoundError         no model has this name and version
    ├── CommitUnknownError             the store never said whether a commit counted
    ├── FlushTimeoutError              metrics were not durable in the time allowed
    ├── PointsLostError                the buffer was full for too long: points were dropped
    ├── ActivityFailedException        the run that was waited for has failed
    ├── ExperimentExecutionException   waiting for a run was interrupted
    ├── MissingExtraError              a package is not installed: an extra of objrun brings it
    └── RunEnvironmentException        this process was not started as a run of objrun

Warnings derive from `ObjrunWarning`, so one filter silences or escalates them all.
The names ending in `Exception` are those of Azure ML's SDK; `AzureMLException` is another name of
`ObjrunError`.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class ObjrunError(Exception):
    """The base of every error of objrun; `message` is the text shown to people.

    >>> ObjrunError("no such thing").message
    'no such thing'
    """

    def __init__(self, message: str) -> None:
        """Keep the message."""
        super().__init__(message)
        self.message = message


AzureMLException = ObjrunError
"""What scripts catch that were written for Azure ML."""


class UserErrorException(ObjrunError, ValueError):
    """The call is wrong; the message says what to change. Nothing was written."""


class PropertyConflictError(UserErrorException):
    """A property is written once; this one already holds another value.

    Nothing was written, but where another process took the property at the same moment: then the
    message names the properties of the call that were added.
    """


class RunExistsError(UserErrorException):
    """A run with this id exists; ids are never used twice."""


class FileConflictError(UserErrorException):
    """A file of a run is written once; this one already holds other bytes.

    The message has a line for each such file. Nothing of the others is undone.
    """


class FileNotInRunError(UserErrorException):
    """The run has no file of this name; the message names some that it has."""


class SnapshotException(UserErrorException):
    """A snapshot cannot be taken, or there is none; the message names the files in the way."""


class WebserviceException(UserErrorException):
    """A model cannot be registered, found or downloaded like this; the message says why."""


class ModelPathNotFoundException(WebserviceException):
    """No file is where those of a model were to be; the message names some that there are."""


class StoreError(ObjrunError):
    """The store refused, failed or could not be reached."""


class InvalidURLError(StoreError, ValueError):
    """The URL does not name a store objrun can use; the message says why."""


class NotFoundError(StoreError):
    """No object has this key."""


class AlreadyExistsError(StoreError):
    """`put_if_absent` found an object under this key, perhaps the caller's own earlier try."""


class PermissionDeniedError(StoreError):
    """The credentials were understood and do not allow this request."""


class CreateOnlyError(PermissionDeniedError):
    """The credentials only create objects, as was found before; what takes more was not sent."""


class CredentialsError(StoreError):
    """There are no credentials, or they are wrong or have expired."""


class BucketNotFoundError(StoreError):
    """The bucket or container of the URL does not exist."""


class UnsafeStoreError(StoreError):
    """The store lets two creates of one key win, so it cannot hold runs safely."""


class StoreFullError(StoreError):
    """The disk or the quota is full."""


class UnavailableError(StoreError):
    """A timeout, a reset, a 5xx or throttling: the outcome is unknown and a retry may succeed."""


class FormatError(ObjrunError):
    """What is stored is not what the format says."""


class NotAStoreError(FormatError):
    """There is no objrun store at this URL."""


class UnsupportedFormatError(FormatError):
    """The store or the object needs a newer objrun."""


class Problem(NamedTuple):
    """One thing wrong with a document: where (`$.state.tags`), an error code, and a sentence.

    >>> Problem("$.number", "out_of_range", "must be at least 1").code
    'out_of_range'
    """

    location: str
    code: str
    message: str


class CorruptObjectError(FormatError):
    """One stored object is damaged: `key` names it, `problems` lists everything wrong with it.

    >>> error = CorruptObjectError("objrun.json", [Problem("$", "json_syntax", "not JSON")])
    >>> str(error)
    'objrun.json is damaged: not JSON (json_syntax at $)'
    """

    def __init__(self, key: str, problems: list[Problem]) -> None:
        """Name the object and what is wrong with it."""
        told = "; ".join(f"{p.message} ({p.code} at {p.location})" for p in problems)
        super().__init__(f"{key} is damaged: {told}")
        self.key = key
        self.problems = problems

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as what it was made of, so that it comes back from a worker."""
        return type(self), (self.key, self.problems)


class ServiceException(ObjrunError):
    """What was asked for does not exist; `status_code` is 404, as in Azure ML.

    >>> ServiceException("no such run").status_code
    404
    """

    status_code = 404


class RunNotFoundError(ServiceException):
    """No run has this id."""


class ExperimentNotFoundError(ServiceException):
    """No experiment has this name."""


class ModelNotFoundError(ServiceException, WebserviceException):
    """No model has this name, or not this version; Azure ML says WebserviceException."""


class CommitUnknownError(ObjrunError):
    """The store never said whether a commit counted; reading it again will tell."""


class FlushTimeoutError(ObjrunError):
    """Metrics were not durable within the time allowed; they stay buffered and are tried again."""


class PointsLostError(ObjrunError):
    """The buffer was full because the store failed for too long, and points were dropped."""


class ActivityFailedException(ObjrunError):
    """The run that was waited for has failed; the message carries its error."""


class ExperimentExecutionException(ObjrunError):
    """Waiting for a run was interrupted; the run itself goes on."""


class MissingExtraError(ObjrunError):
    """A package that an extra of objrun brings is not installed, or is too old."""


class RunEnvironmentException(ObjrunError):
    """This process was not started as a run of objrun."""


class ObjrunWarning(UserWarning):
    """The base of every warning of objrun."""


class MetricDroppedWarning(ObjrunWarning):
    """A metric was not kept: it was empty or of another kind than the name already has."""


class StepWarning(ObjrunWarning):
    """Only some points of a metric have a step, so it was read as logged, not by step."""


class CorruptObjectWarning(ObjrunWarning):
    """A damaged object was left out of an answer; it is named."""


class StatusWarning(ObjrunWarning):
    """A change of status was ignored because the run has already ended."""


class SnapshotWarning(ObjrunWarning):
    """A link or a special file was left out of a snapshot; it is named."""


class SecretWarning(ObjrunWarning):
    """A secret was not found; it is said where it was looked for."""


class SpoolWarning(ObjrunWarning):
    """The store fails and a run goes on in the spool: what is read is not all that was logged."""
