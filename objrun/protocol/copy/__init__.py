"""Copy runs from one store to another, while both are in use.

Every object but a marker is immutable: the same key means the same bytes. So to copy is to create,
with put-if-absent, what the target lacks; whoever dies in between has done a part of it, and the
next copy does the rest. The rules, with the reasons in docs/adr/0014:

1. Of the source are listed, in this order: markers, the checkpoint, chains, segments, and the
   checkpoint again. So all points that a listed version vouches for are among the segments listed,
   or in the tables of that checkpoint. What comes later is for the next copy.
2. The target gets the header, the experiment, then of each run: the snapshots and environments
   that its properties refer to; segments, properties and the entries of files; the bytes of files
   whose entry stands there; its number, and the chain from the first version to the last. So a
   reader never sees a run without its points, nor a chain with a hole. The marker of a version goes
   before it, but that of version 1 after it: a marker of a run that is not there would be a dead
   writer's, whose id a vacuum takes for used up. Markers whose version the source does not have are
   not copied.
3. A segment that vanished since it was listed was superseded: the run's segments are listed again.
   Segments that others make superfluous are not copied, and are deleted in the target once those
   are there, as their writer does in the source.
4. A run is the same in both stores if version 1 is, by its bytes. Another run of the same id is a
   conflict, of which nothing is copied. Bytes are compared where something is to be copied, where
   the target has other versions, and where the id was chosen by a person; else that versions have
   the same sizes is taken for proof.
5. Where both stores have gone on from a common version, what the source did since is committed
   again behind the versions of the target, as after any lost race. It keeps its write ids, by which
   the next copy sees that it is there, its times and its operations; only version numbers differ.
6. An experiment that was made independently in both stores keeps the chain of the target.
7. A run keeps its number, which stands in its documents, though that number may belong to another
   run in the target: then it is not claimed, and the result says so.
8. What was purged in the target stays so. Tombstones are not copied: nothing is deleted by a copy.
9. Rows that stand only in the source's tables become segments of the target, unless it has no
   checkpoint: then it takes all tables as its first, before the chains, so that its runs and their
   points are listed all at once. What the tables of the target cover is not copied.
"""
