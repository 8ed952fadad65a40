"""What keeps a store small and true: compaction at ends, trash, reaping, copies."""
