"""Compacted tables: made, merged, read, and cleaned up."""
