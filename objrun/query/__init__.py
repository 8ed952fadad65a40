"""Queries: what is stored, as polars frames. Everything here may import polars."""
