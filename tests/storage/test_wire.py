"""What goes over the wire: how many requests each verb takes, and what happens when one is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from objrun.errors import (
    AlreadyExistsError,
    BucketNotFoundError,
    CredentialsError,
    NotFoundError,
    PermissionDeniedError,
    StoreError,
    StoreFullError,
    UnavailableError,
    UnsafeStoreError,
)
from objrun.storage import connect, open_store
from objrun.testing.proxy import Answer, Delay, DropAnswer, Reset, proxy_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from objrun.storage import Store
    from objrun.testing.proxy import Act, Proxy
    from objrun.testing.servers import Server


@pytest.fixture(params=["s3", "gcs", "azure"])
def cloud(request: pytest.FixtureRequest) -> Server:
    server: Server = request.getfixturevalue(f"{request.param}_server")
    return server


@pytest.fixture
def proxy(cloud: Server) -> Iterator[Proxy]:
    with proxy_to(cloud.port) as proxy:
        yield proxy


@pytest.fixture
def store(cloud: Server, proxy: Proxy) -> Store:
    return connect(f"{cloud.new_bucket()}/prefix", **cloud.options_at(proxy.port))


def refused(error: type[StoreError], ask: Callable[[], object]) -> None:
    with pytest.raises(error):
        ask()


VERBS: dict[str, Callable[[Store], object]] = {
    "get": lambda store: store.get("a/one"),
    "get absent": lambda store: refused(NotFoundError, lambda: store.get("absent")),
    "get empty": lambda store: store.get("a/empty"),
    "get_range": lambda store: store.get_range("a/one", 1, 2),
    "put": lambda store: store.put("new", b"1"),
    "create": lambda store: store.put_if_absent("created", b"1"),
    "create again": lambda store: refused(
        AlreadyExistsError, lambda: store.put_if_absent("a/one", b"1")
    ),
    "list": lambda store: store.list(""),
    "list absent": lambda store: store.list("absent/"),
    "folders": lambda store: store.folders(""),
    "delete 1": lambda store: store.delete(["a/one"]),
    "delete 3": lambda store: store.delete(["a/one", "a/b/c/two", "absent"]),
    "delete none": lambda store: store.delete([]),
    "now": lambda store: store.now(),
}
EXPECTED = dict.fromkeys(VERBS, 1) | {"delete none": 0, "now": 3}
# Only S3 deletes many by one request, and Azure cannot say that an empty blob is empty.
EXPECTED_OF = {
    "s3": EXPECTED,
    "gs": EXPECTED | {"delete 3": 3},
    "abfs": EXPECTED | {"delete 3": 3, "get empty": 2},
}


def test_each_verb_is_one_request(cloud: Server, proxy: Proxy, store: Store) -> None:
    asked = {}
    for verb, ask in VERBS.items():
        for key in ("a/one", "a/b/c/two", "a/empty"):
            store.put(key, b"" if key == "a/empty" else b"12345")
        proxy.log.clear()
        ask(store)
        asked[verb] = len(proxy.log)
    assert asked == EXPECTED_OF[cloud.scheme]


def test_opening_again_is_one_request(cloud: Server, proxy: Proxy, store: Store) -> None:
    options = cloud.options_at(proxy.port)
    open_store(store.url, **options)
    proxy.log.clear()
    open_store(store.url, **options)
    assert len(proxy.log) == 1


def test_connecting_is_no_request(cloud: Server, proxy: Proxy) -> None:
    connect(cloud.url("objrun-nowhere"), **cloud.options_at(proxy.port))
    assert proxy.log == []


def test_a_lost_acknowledgement(cloud: Server, proxy: Proxy, store: Store) -> None:
    """The object is stored and the answer lost: the caller may be told that it exists."""
    proxy.next_only(DropAnswer(), "POST" if cloud.scheme == "gs" else "PUT")
    with pytest.raises((AlreadyExistsError, UnavailableError)):
        store.put_if_absent("mine", b"what I wrote")
    assert store.get("mine") == b"what I wrote"
    # Sending the same again settles it.
    with pytest.raises(AlreadyExistsError):
        store.put_if_absent("mine", b"what I wrote")


@pytest.mark.parametrize(
    "act", [Reset(), DropAnswer(), Answer(503), Delay(0.3)], ids=lambda act: type(act).__name__
)
def test_a_passing_fault_is_not_seen(proxy: Proxy, store: Store, act: Act) -> None:
    for verb in ("put", "get", "list", "delete 1"):
        store.put("a/one", b"12345")
        proxy.next_only(act)
        VERBS[verb](store)
    assert [info.key for info in store.list("")] == ["new"]


def test_a_refused_create_after_a_fault_keeps_the_first_object(proxy: Proxy, store: Store) -> None:
    store.put("taken", b"first")
    proxy.next_only(Reset())
    with pytest.raises((AlreadyExistsError, UnavailableError)):
        store.put_if_absent("taken", b"second")
    assert store.get("taken") == b"first"


def s3_error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>because</Message></Error>".encode()


REFUSALS = [
    (403, "AccessDenied", PermissionDeniedError),
    (403, "InvalidAccessKeyId", CredentialsError),
    (403, "SignatureDoesNotMatch", CredentialsError),
    (400, "ExpiredToken", CredentialsError),
    (409, "ConditionalRequestConflict", UnavailableError),
    (412, "PreconditionFailed", AlreadyExistsError),
    (501, "NotImplemented", UnsafeStoreError),
    (507, "InsufficientStorage", StoreFullError),
    (400, "InvalidRequest", StoreError),
]


@pytest.mark.parametrize(("status", "code", "error"), REFUSALS, ids=str)
def test_what_s3_may_say(
    s3_server: Server, status: int, code: str, error: type[StoreError]
) -> None:
    with proxy_to(s3_server.port) as proxy:
        store = connect(s3_server.url("any"), **s3_server.options_at(proxy.port))
        proxy.plan = lambda _: Answer(status, s3_error(code))
        with pytest.raises(StoreError) as raised:
            store.put_if_absent("key", b"")
    assert type(raised.value) is error
    assert code in str(raised.value)


@pytest.mark.parametrize(
    ("status", "error"),
    [(403, PermissionDeniedError), (412, AlreadyExistsError), (507, StoreFullError)],
)
def test_what_gcs_may_say(gcs_server: Server, status: int, error: type[StoreError]) -> None:
    with proxy_to(gcs_server.port) as proxy:
        store = connect(gcs_server.url("any"), **gcs_server.options_at(proxy.port))
        proxy.plan = lambda _: Answer(status)
        with pytest.raises(error):
            store.put_if_absent("key", b"")


def test_who_may_not_replace_on_gcs_is_told_that_an_object_exists(gcs_server: Server) -> None:
    told = b'{"error": {"message": "x does not have storage.objects.delete access to the object"}}'
    with proxy_to(gcs_server.port) as proxy:
        store = connect(gcs_server.new_bucket(), **gcs_server.options_at(proxy.port))
        proxy.plan = lambda _: Answer(403, told)
        with pytest.raises(AlreadyExistsError):
            store.put_if_absent("a", b"1")
        with pytest.raises(PermissionDeniedError):
            store.put("a", b"1")


def test_gcs_without_a_login(gcs_server: Server) -> None:
    with proxy_to(gcs_server.port) as proxy:
        store = connect(gcs_server.url("any"), **gcs_server.options_at(proxy.port))
        proxy.plan = lambda _: Answer(401, b'{"error": {"message": "Anonymous caller"}}')
        with pytest.raises(CredentialsError):
            store.put_if_absent("key", b"")


def test_wrong_keys_of_s3(s3_server: Server) -> None:
    store = connect(s3_server.new_bucket(), **s3_server.options | {"key": "unknown"})
    with pytest.raises(CredentialsError, match="InvalidAccessKeyId"):
        store.list("")


def test_no_keys_for_s3(s3_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "absent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "absent")
    options = s3_server.options | {"key": None, "secret": None}
    with pytest.raises(CredentialsError, match="credentials"):
        open_store(s3_server.new_bucket(), **options)


def test_a_wrong_key_of_azure(azure_server: Server) -> None:
    url, options = azure_server.new_bucket(), azure_server.options
    account_key = options["connection_string"].partition("AccountKey=")[2].partition(";")[0]
    options["connection_string"] = options["connection_string"].replace(account_key, "d3Jvbmc=")
    # The emulator says "AuthorizationFailure" where Azure says "AuthenticationFailed".
    with pytest.raises((CredentialsError, PermissionDeniedError), match="failed to authenticate"):
        connect(url, **options).put("a", b"")


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (403, "AuthenticationFailed", CredentialsError),
        (403, "AuthorizationPermissionMismatch", PermissionDeniedError),
        (403, "UnauthorizedBlobOverwrite", AlreadyExistsError),
        (404, "ContainerNotFound", BucketNotFoundError),
        (409, "BlobAlreadyExists", AlreadyExistsError),
        (409, "ContainerBeingDeleted", BucketNotFoundError),
        (409, "OperationTimedOut", UnavailableError),
        (412, "LeaseIdMissing", PermissionDeniedError),
        (503, "ServerBusy", UnavailableError),
    ],
    ids=str,
)
def test_what_azure_may_say(
    azure_server: Server, status: int, code: str, error: type[StoreError]
) -> None:
    with proxy_to(azure_server.port) as proxy:
        store = connect(azure_server.url("any"), **azure_server.options_at(proxy.port))
        proxy.plan = lambda _: Answer(status, s3_error(code), (("x-ms-error-code", code),))
        with pytest.raises(error, match=code):
            store.put_if_absent("key", b"")
        assert len(proxy.log) == 1


@pytest.mark.parametrize("cloud", ["azure"], indirect=True)  # the others try for much longer
def test_a_server_that_is_gone(cloud: Server) -> None:
    with proxy_to(cloud.port) as proxy:
        port = proxy.port
    store = connect(cloud.url("any"), **cloud.options_at(port))
    with pytest.raises(UnavailableError):
        store.put_if_absent("key", b"")


@pytest.mark.parametrize("verb", ["get", "put", "create", "list", "folders", "delete 1"])
def test_a_missing_bucket(cloud: Server, verb: str) -> None:
    store = connect(cloud.url("objrun-missing"), **cloud.options)
    with pytest.raises(BucketNotFoundError):
        VERBS[verb](store)
