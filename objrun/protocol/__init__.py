"""The protocol: how chains, claims and segments are written and read so that nothing is lost."""
