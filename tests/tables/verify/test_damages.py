"""Each damage has a finding of its own, and repairs mend what can be mended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from objrun import Experiment
from objrun.errors import ObjrunError
from objrun.format import keys
from objrun.format.documents import encode_number
from objrun.format.states import NumberClaim
from objrun.tables.compaction import drop_runs
from objrun.tables.verify.findings import CODES, Finding, Mend, repair
from tests.tables.verify.damages import DAMAGES, entomb, orphan, unmark
from tests.tables.verify.stores import LAST, NAME, all_runs, fresh, lose, mend, squeeze, told

if TYPE_CHECKING:
    from objrun.storage import Store


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damage_is_found_where_it_is_and_repaired(what: str) -> None:
    stage, code, act, answers_return = DAMAGES[what]
    made = fresh(stage)
    if what in ("unmarked", "gap"):
        key = act(made)
        answers = None
    else:
        answers = made.answers()
        key = act(made)
    findings = made.find()
    assert {*told(findings)} == {(code, key)}, findings
    assert {finding.severity for finding in findings} == {CODES[code][0]}
    before = made.objects
    mend(made)
    if findings[0].repair is None:
        assert made.objects == before
        return
    assert made.find() == []
    squeeze(made, whole=True)
    assert made.find() == []
    if answers_return and answers is not None and what != "property orphaned":
        assert made.answers() == answers


def test_an_orphaned_property_is_taken_into_the_state() -> None:
    made = fresh("live")
    orphan(made)
    mend(made)
    assert made.workspace.get_run("r1").properties["new one"] == "x"


def test_a_change_without_a_marker_is_seen_after_the_repair() -> None:
    made = fresh("vacuumed")
    unmark(made)
    assert "later" not in made.answers()[0]
    mend(made)
    assert "later" in made.answers()[0]


def test_a_run_that_only_tables_have_is_made_again() -> None:
    made = fresh("vacuumed")
    answers = made.answers()
    made.store.delete(info.key for info in made.store.list("runs/r1/state/"))
    findings = made.find()
    assert ("missing_run", LAST) in told(findings)
    mend(made)
    made.store.delete(["runs/r1/properties/data.json"])
    assert made.find() == []
    assert made.answers() == answers
    assert [entry["version"] for entry in made.workspace.get_run("r1").history()] == [1, 2, 3, 4]


def test_a_run_that_is_lost_is_told_once() -> None:
    made = fresh("live")
    made.store.delete(info.key for info in made.store.list("runs/r1-child/"))
    assert told(made.find()) == [("missing_run", "runs/r1-child/state/")]


@pytest.mark.parametrize("left", ["everything", "properties", "rows of tables"])
def test_a_purge_is_finished(left: str) -> None:
    made = fresh("vacuumed")
    tomb = entomb(made)
    folder = [info.key for info in made.store.list("runs/r1/") if info.key != tomb]
    if left == "properties":
        drop_runs(made.store, NAME, {"r1"})
        made.store.delete(key for key in folder if "/properties/" not in key)
    elif left == "rows of tables":
        made.store.delete(folder)
    code = "unfinished_purge" if left == "properties" else "purged_rows"
    assert told(made.find()) == [(code, tomb)]
    mend(made)
    assert made.find() == []
    assert [info.key for info in made.store.list("runs/r1/")] == ["runs/r1/state/00000005.json"]
    assert "r1" not in all_runs(made)["run_id"].to_list()


def test_the_last_number_of_the_first_bucket_is_claimed_for_nobody() -> None:
    made = fresh("live")
    for number in (999, 1000):
        claim = NumberClaim(number=number, run_id=f"nobody-{number}", write_id="0" * 32)
        made.store.put(keys.number(NAME, number), encode_number(claim))
    assert made.find() == []
    made.store.delete([keys.number(NAME, 999)])
    assert told(made.find()) == [("unclaimed", keys.number(NAME, 999))]
    mend(made)
    assert made.find() == []
    assert Experiment(made.workspace, NAME).start_logging().number == 1001


def test_a_damaged_segment_that_counts_is_named() -> None:
    made = fresh("tailed")
    key = next(info.key for info in made.store.list(keys.shards(NAME, "r8")))
    made.damage(key)
    assert told(made.find()) == [("damaged", key)]


def test_a_repair_that_fails_is_told_and_the_next_ones_are_done() -> None:
    made = fresh("live")

    def refuse(_store: Store) -> None:
        message = "no"
        raise ObjrunError(message)

    bad = Finding("hole", "k", "m", "r", Mend(refuse, ()))
    lose("experiments/digits/numbers/00000/00000001.json")(made)
    done = [*repair(made.store, [bad, *made.find()])]
    assert [error is None for _, error in done] == [False, True]
    assert made.find() == []
