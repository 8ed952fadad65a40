"""Is a store sound? Every object against what the format says of it, and repairs. SPEC throughout.

`verify` in `store` is the way in: it only reads. What it finds wrong are findings, some of which
know how to mend themselves.
"""
