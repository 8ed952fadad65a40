"""The format: every key, document and Parquet schema of a store, pure, without I/O."""
