"""What tests of a store need, shipped so that others can test theirs.

- `objrun.testing.conformance`: the suite that every backend passes; a test file subclasses it.
- `objrun.testing.servers`: local servers that speak as S3, Google Cloud Storage and Azure do.
- `objrun.testing.s3`: the local S3, a program of its own (`python -m objrun.testing.s3`).
- `objrun.testing.proxy`: a proxy that loses answers, resets, refuses, waits, and counts requests.
- `objrun.testing.racer`: one process of a race to create objects.

These need the packages of the extra `test`; the rest of objrun never imports them.
"""
