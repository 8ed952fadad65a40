"""The golden store whose packs were put together."""

from __future__ import annotations

from objrun.format.media import Blob, Pack, PackKey, join, pack_key
from tools.golden.broken_shared import digest
from tools.golden.build import WRITER, Case, Row


def merged_packs() -> Case:
    """Four flushes: the third put three packs together, and who did so left one of them behind."""
    case = Case("merged_packs", "blobs whose packs were put together", ("9.11",))
    case.header()
    case.experiment()
    case.run("r1")
    packs = [Pack(WRITER, number) for number in range(1, 5)]
    rows: list[Row] = []
    for step, pack in enumerate(packs):
        for name in ("a", "b"):
            data = b"P2 1 1 9 %d # %s" % (step, name.encode())
            member = f"{name}/{len(rows):06d}.pgm"
            start = pack.add(member, data)
            blob = Blob(pack.name, member, start, len(data), digest(data), (1, 1))
            rows.append(Row(name, blob.reference(), step, kind="image"))
            case.expect_blob("r1", blob.reference(), data)
    first, second, third, fourth = packs
    case.objects[pack_key(PackKey("r1", WRITER, 1, 4))] = join([first, second, third]).data()
    case.objects[pack_key(PackKey("r1", WRITER, 2, 3))] = second.data()
    case.objects[pack_key(PackKey("r1", WRITER, 4, 5))] = fourth.data()
    case.segment("r1", rows)
    case.expect_metric("r1", "a", 0, 2, 4, 6, family="image")
    case.expect_metric("r1", "b", 1, 3, 5, 7, family="image")
    return case
