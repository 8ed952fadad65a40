"""Policies of IAM, as far as they concern a store: who may do what to which objects.

Moto checks signatures, actions and resources itself, but takes every condition of a policy of S3
for not met, and asks for DeleteObjects on the bucket. So the local S3 decides by these rules first,
and moto has the same policies without conditions.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Request", "for_moto", "permits", "requests_of"]

ARN = "arn:aws:s3:::"

_OF_OBJECTS = {
    "GET": "GetObject",
    "HEAD": "GetObject",
    "PUT": "PutObject",
    "POST": "PutObject",  # begins or completes an upload in parts
    "DELETE": "DeleteObject",
}
_OF_UPLOADS = {"GET": "ListMultipartUploadParts", "DELETE": "AbortMultipartUpload"}
_KEY = re.compile(r"<Key>([^<]*)</Key>")


class Request(NamedTuple):
    """What a policy is asked: an action, the name of a resource, and what conditions look at."""

    action: str
    resource: str
    context: Mapping[str, str]


def permits(policy: Mapping[str, Any], request: Request) -> bool:
    """Return whether a statement allows a request and none denies it.

    >>> rule = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/t/*"}
    >>> asked = Request("s3:GetObject", "arn:aws:s3:::b/t/x", {})
    >>> permits({"Statement": [rule]}, asked)
    True
    >>> permits({"Statement": [rule]}, asked._replace(resource="arn:aws:s3:::b/other"))
    False
    """
    effects = {rule["Effect"] for rule in policy["Statement"] if _concerns(rule, request)}
    return effects == {"Allow"}


def _concerns(rule: Mapping[str, Any], request: Request) -> bool:
    conditions = rule.get("Condition", {}).items()
    return (
        _matches(rule["Action"], request.action)
        and _matches(rule["Resource"], request.resource)
        and all(_holds(name, keys, request.context) for name, keys in conditions)
    )


def _matches(patterns: str | list[str], value: str) -> bool:
    several = [patterns] if isinstance(patterns, str) else patterns
    return any(fnmatchcase(value, pattern) for pattern in several)


def _holds(operator: str, keys: Mapping[str, Any], context: Mapping[str, str]) -> bool:
    """Return whether one condition is met, of those that the documented policies use."""
    for key, wanted in keys.items():
        found = context.get(key)
        if operator == "Null":
            met = (found is None) == (wanted == "true")
        elif operator in ("StringLike", "StringLikeIfExists"):
            met = operator.endswith("IfExists") if found is None else _matches(wanted, found)
        else:
            raise NotImplementedError(operator)
        if not met:
            return False
    return True


def requests_of(
    method: str, path: str, query: Mapping[str, str], condition: str | None, body: str
) -> Iterator[Request]:
    """Return what a request of S3 asks for: one action, or one for each object to be deleted.

    `condition` is its header If-None-Match.

    >>> [*requests_of("GET", "/bucket/key", {}, None, "")]
    [Request(action='s3:GetObject', resource='arn:aws:s3:::bucket/key', context={})]
    """
    bucket, _, key = path.lstrip("/").partition("/")
    context: dict[str, str] = {}
    if method == "POST" and "delete" in query:
        for name in _KEY.findall(body):
            yield Request("s3:DeleteObject", f"{ARN}{bucket}/{name}", context)
    elif key:
        if condition is not None:
            context["s3:if-none-match"] = condition
        actions = _OF_UPLOADS if "uploadId" in query else {}
        action = actions.get(method) or _OF_OBJECTS[method]
        yield Request(f"s3:{action}", f"{ARN}{bucket}/{key}", context)
    elif "uploads" in query:
        yield Request("s3:ListBucketMultipartUploads", f"{ARN}{bucket}", context)
    else:
        if "prefix" in query:
            context["s3:prefix"] = query["prefix"]
        yield Request("s3:ListBucket", f"{ARN}{bucket}", context)


def for_moto(policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return a policy as moto can judge it: without conditions, and with the bucket of objects.

    >>> rule = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/t/*"}
    >>> for_moto({"Statement": [{**rule, "Condition": {}}]})["Statement"][0]["Resource"]
    ['arn:aws:s3:::b/t/*', 'arn:aws:s3:::b']
    """
    rules = []
    for rule in policy["Statement"]:
        named = rule["Resource"]
        several = [named] if isinstance(named, str) else [*named]
        several += [name.partition("/")[0] for name in several if "/" in name]
        bare = {name: value for name, value in rule.items() if name != "Condition"}
        rules.append({**bare, "Resource": several})
    return {**policy, "Statement": rules}
