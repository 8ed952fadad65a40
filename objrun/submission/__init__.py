"""Runs that are submitted: a snapshot of their source, started by a launcher, on some target.

`submit` makes a run that is Queued and hands a `Job` to a compute target. The target has a launcher
run somewhere, a process of its own that outlives the submitter: it restores the snapshot, starts
the script in a process group, keeps what it prints, and says how it ended.
"""
