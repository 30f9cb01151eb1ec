"""The storm's checker finds every violation of its rules."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from hydra_resolver.database.procedures import Procedures
from hydra_resolver.nix.store_path import StoreDir

from ..support.databases import DRV, claim_build, enqueue, execute, finish, running_build
from ..support.legality import judge
from . import failures
from .failures import RULES, Attempt, End, Failure, Past, Row, Run, read_runs
from .past import KEEP, forgotten_too_early, read_all

BAD = "1" * 32 + "-bad.drv"
LEGAL = Past(
    failures=[Failure(BAD, 1, 20, 50), Failure(BAD, 3, 70, float("inf"))],
    attempts=[Attempt(BAD, 1, 1, 10), Attempt(BAD, 3, 1, 60)],
    runs=[Run(BAD, 11), Run(BAD, 61)],
    rows=[
        Row(1, 1, BAD, 1, None), Row(2, 1, BAD, 1, 1), Row(3, 1, BAD, 1, None), Row(4, 1, BAD, 8, 3),
        Row(5, 1, BAD, 8, 3),
    ],
    ends=[
        End(3, BAD, 5, False, None), End(4, BAD, 80, True, None), End(5, BAD, 15, True, 75),
    ],
    builds={1, 2, 3, 4, 5},
)  # fmt: skip
ILLEGAL: dict[str, tuple[str, Past]] = {
    "what is known to fail is run": ("run_in_vain", replace(LEGAL, runs=[Run(BAD, 11), Run(BAD, 30), Run(BAD, 61)])),
    "one sleeper, two runs": (
        "run_in_vain",
        replace(
            LEGAL,
            runs=[Run(BAD, n) for n in (11, 30, 31, 61)],
            attempts=[*LEGAL.attempts, Attempt(BAD, 1, 1, 9, swept=True)],
        ),
    ),
    "nobody claimed it": ("runs_are_attempts", replace(LEGAL, attempts=LEGAL.attempts[:1])),
    "nobody ran it": ("failures_are_runs", replace(LEGAL, runs=LEGAL.runs[1:])),
    "it was no attempt": ("rows_say_who_ran_it", replace(LEGAL, rows=[Row(2, 1, BAD, 1, None)])),
    "it was an attempt": ("rows_say_who_ran_it", replace(LEGAL, rows=[Row(1, 1, BAD, 1, 3)])),
    "another one ran it": ("rows_say_who_ran_it", replace(LEGAL, rows=[Row(2, 1, BAD, 1, 4)])),
    "a cached failure that was attempted": ("rows_say_who_ran_it", replace(LEGAL, rows=[Row(1, 1, BAD, 8, None)])),
    "a cached failure without a cause": ("rows_say_who_ran_it", replace(LEGAL, rows=[Row(4, 1, BAD, 8, None)])),
    "cached, by what came later": ("cached_is_what_was_known", replace(LEGAL, ends=[End(4, BAD, 65, True, None)])),
    "not cached, by what was known": (
        "cached_is_what_was_known",
        replace(LEGAL, ends=[End(3, BAD, 75, False, None)]),
    ),
    "cached, and the row says otherwise": (
        "cached_is_what_was_known",
        replace(LEGAL, rows=[Row(4, 1, BAD, 8, 3), Row(4, 2, BAD, 1, 3)], ends=[End(4, BAD, 80, True, None)]),
    ),
    "not cached, and the row says otherwise": (
        "cached_is_what_was_known",
        replace(LEGAL, rows=[Row(3, 1, BAD, 8, 1)], ends=[End(3, BAD, 5, False, None)]),
    ),
    "no row": ("cached_is_what_was_known", replace(LEGAL, rows=[])),
}


def test_a_legal_past_breaks_no_rule() -> None:
    assert failures.judge(LEGAL) == []


def test_a_worker_that_was_suspended_between_claim_and_run_may_run_a_known_failure() -> None:
    sleeper = Attempt(BAD, 1, 1, 9, swept=True)
    assert failures.judge(replace(LEGAL, runs=[*LEGAL.runs, Run(BAD, 30)], attempts=[*LEGAL.attempts, sleeper])) == []


def test_a_row_need_not_name_the_build_of_a_failure_after_that_build_was_deleted() -> None:
    rows = [*LEGAL.rows[:-1], Row(5, 1, BAD, 8, None)]
    assert failures.judge(replace(LEGAL, rows=rows, builds=LEGAL.builds - {3})) == []


@pytest.mark.parametrize("case", ILLEGAL)
def test_each_illegal_past_breaks_its_rule(case: str) -> None:
    rule, past = ILLEGAL[case]
    assert rule in {problem.partition(":")[0] for problem in failures.judge(past)}


def test_every_rule_about_failures_has_an_illegal_case() -> None:
    assert {rule.__name__ for rule in RULES} == {rule for rule, _ in ILLEGAL.values()}


def test_a_run_is_identified_by_the_path_of_its_output(tmp_path: Path) -> None:
    store_dir = StoreDir("/nix/store")
    file = tmp_path / "runs"
    file.write_text(f"11.5 {store_dir.render(store_dir.unfinished_output_path(BAD, 'out'))}\n")
    assert read_runs(file, [DRV, BAD], store_dir) == [Run(BAD, 11.5)]
    with pytest.raises(KeyError):
        read_runs(file, [DRV], store_dir)


FORGET = (
    "select resolver.delete_pruned('{1}', '{}', array(select realisation from resolver.realisation), '{}', '{}', '{}')"
)


def kept(database: str) -> str:
    """Keep the past of a database."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("select resolver.keep_history(true)")
        connection.execute(KEEP.encode())
    return database


def forget(database: str, *statements: str) -> list[str]:
    """Forget the one derivation in spite of all constraints; return the checker's messages."""
    constraints = [f"alter table resolver.{table} drop constraint {name}" for table, name in FOREIGN]
    execute(database, *constraints, *statements, FORGET)
    return forgotten_too_early(database)


FOREIGN = [
    ("goal", "goal_root_fkey"), ("goal", "goal_cause_fkey"), ("failure", "failure_derivation_fkey"),
]  # fmt: skip


def test_the_checker_reports_a_forgotten_derivation_that_an_unfinished_build_needs(database: str) -> None:
    running_build(kept(database))
    assert forget(database) == [f"an unfinished build needs {DRV}, which was forgotten"]


def test_the_checker_reports_the_forgotten_trace_of_a_valid_path(database: str) -> None:
    procedures = Procedures(kept(database), connections=1)
    try:
        enqueue(procedures)
        finish(procedures, claim_build(procedures))
    finally:
        procedures.close()
    assert forget(database) == [f"the trace of a path that is valid was that of {DRV}, which was forgotten"]
    assert any("realised_is_left_for_a_reason" in problem for problem in judge(read_all(database)))


def test_the_checker_accepts_a_legal_prune_and_has_the_forgotten_rows(database: str) -> None:
    build = running_build(kept(database))
    execute(database, f"select resolver.cancel_build({build})", "select resolver.deregister_worker(1)")
    execute(database, "select pg_sleep(0.01)", "select resolver.prune('0')")
    record = read_all(database)
    assert forgotten_too_early(database) == []
    assert {lease.verb for lease in record.leases} == {"load", "build"}
    assert {event.function for event in record.events} >= {"delete_pruned"}
    assert judge(record) == []
