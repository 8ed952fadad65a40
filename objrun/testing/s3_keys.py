"""Who may use the local S3; apart from the server, so that clients need not import it."""

from __future__ import annotations

__all__ = ["ACCESS_KEY", "REGION", "SECRET_KEY"]

ACCESS_KEY = "objrun"
"""The only access key that the server knows."""

SECRET_KEY = "objrun-secret"  # noqa: S105 - of a server on loopback that checks no signature
"""A secret for clients to sign with; the server checks no signature."""

REGION = "us-east-1"
"""The region that clients name; the server has only one."""
