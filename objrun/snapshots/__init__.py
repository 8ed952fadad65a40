"""Snapshots of source: which files of a folder, packed into one object, and out again."""
