"""The checker of histories: it accepts legal histories, and each rule finds its violations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from hydra_resolver.database.install import install

from ..cli.test_run import DEMO
from ..support.farm import open_farm
from ..support.history import Build, Event, Lease, Record, Step, read
from ..support.legality import RULES, judge, unsettled

LIBRARY, TOOL, RESOLVED, JOB = 1, 2, 3, 7
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def move(
    transaction: int, derivation: int, stages: str, by: str, *, lease: tuple[int | None, int | None] = (None, None),
    follows: int | None = None,
) -> Event:  # fmt: skip
    """Make a move; `stages` is like 'waiting -> resolvable', or one stage; `by` is like 'settle in finish_steps'."""
    before, _, after = stages.partition(" -> ")
    function, _, procedure = by.partition(" in ")
    return Event(0, transaction, derivation, procedure, function, before, after or before, *lease, resolved_to=follows)


def output(transaction: int, derivation: int, path: str | None, by: str) -> Event:
    """Make an event of output `out`, which is wanted, and valid if it has a path."""
    function, _, procedure = by.partition(" in ")
    return Event(
        0, transaction, derivation, procedure, function, output="out", path=path, valid=path is not None, wanted=True
    )


def numbered(events: list[Event]) -> list[Event]:
    return [replace(event, event=number) for number, event in enumerate(events, 1)]


CLAIM, LOADED, BUILT = "claim_graph_work in claim_derivations", "in register_derivations", "in finish_steps"
EVENTS = [
    output(10, TOOL, None, "open_goals in enqueue"),  # 0
    move(11, TOOL, "unloaded", CLAIM, lease=(None, 1)),
    move(12, TOOL, "unloaded", f"register_derivations {LOADED}", lease=(1, None)),
    output(12, LIBRARY, None, f"mark_wanted_outputs {LOADED}"),
    move(12, TOOL, "unloaded -> waiting", f"reevaluate_readiness_along {LOADED}"),
    move(13, LIBRARY, "unloaded", CLAIM, lease=(None, 2)),  # 5
    move(14, LIBRARY, "unloaded", f"register_derivations {LOADED}", lease=(2, None)),
    move(14, LIBRARY, "unloaded -> buildable", f"reevaluate_readiness_along {LOADED}"),
    move(15, LIBRARY, "buildable -> building", "claim_builds in claim_derivations", lease=(None, 3)),
    output(16, LIBRARY, "library", f"record_built {BUILT}"),
    move(16, LIBRARY, "building -> realised", f"record_completions {BUILT}", lease=(3, None)),  # 10
    move(16, TOOL, "waiting -> resolvable", f"reevaluate_readiness_along {BUILT}"),
    move(17, TOOL, "resolvable", CLAIM, lease=(None, 4)),
    move(18, TOOL, "resolvable", "set_resolved_to in set_resolved_to", lease=(4, None)),
    output(18, RESOLVED, None, "register_resolved in set_resolved_to"),
    move(18, TOOL, "resolvable -> resolved", "apply_resolutions in set_resolved_to", follows=RESOLVED),  # 15
    move(18, RESOLVED, "unloaded -> buildable", "reevaluate_readiness_along in set_resolved_to"),
    move(19, RESOLVED, "buildable -> building", "claim_builds in claim_derivations", lease=(None, 5)),
    output(20, RESOLVED, "tool", f"record_built {BUILT}"),
    output(20, TOOL, "tool", f"record_completions {BUILT}"),
    move(20, RESOLVED, "building -> realised", f"record_completions {BUILT}", lease=(5, None)),  # 20
    move(20, TOOL, "resolved -> realised", f"record_completions {BUILT}", follows=RESOLVED),
]
TRANSITIONS = {
    ("unloaded", "waiting", "reevaluate_readiness_along"),
    ("unloaded", "buildable", "reevaluate_readiness_along"),
    ("waiting", "resolvable", "reevaluate_readiness_along"),
    ("resolvable", "resolved", "apply_resolutions"),
    ("resolvable", "waiting", "propagate_loss"),
    ("resolved", "waiting", "propagate_loss"),
    ("resolved", "realised", "record_completions"),
    ("buildable", "building", "claim_builds"),
    ("building", "buildable", "revoke_leases"),
    ("building", "realised", "record_completions"),
    ("realised", "unloaded", "invalidate_lost_outputs"),
    ("realised", "unloaded", "open_goals"),
    ("realised", "unloaded", "record_completions"),
    ("unloaded", "realised", "record_completions"),
}


def lease(number: int, derivation: int, verb: str, stepnr: int | None = None, outcome: str = "done") -> Lease:
    opened = BEGAN + timedelta(minutes=number)
    build = None if stepnr is None else JOB
    return Lease(number, derivation, verb, build, stepnr, opened, opened + timedelta(seconds=30), outcome)


LEGAL = Record(
    events=numbered(EVENTS),
    transitions=TRANSITIONS,
    dependencies={TOOL: {LIBRARY: ["out"]}},
    stages={
        LIBRARY: ("realised", None, None),
        TOOL: ("realised", None, RESOLVED),
        RESOLVED: ("realised", None, None),
    },
    leases=[
        lease(1, TOOL, "load"),
        lease(2, LIBRARY, "load"),
        lease(3, LIBRARY, "build", 1),
        lease(4, TOOL, "resolve"),
        lease(5, RESOLVED, "build", 3),
    ],
    realisations={(LIBRARY, "out", "library"), (RESOLVED, "out", "tool")},
    resolved={RESOLVED},
    steps=[Step(JOB, 1, LIBRARY, 0, 0, 0), Step(JOB, 2, TOOL, 0, 0, 13), Step(JOB, 3, RESOLVED, 0, 0, 0)],
    builds=[Build(JOB, True, 0, True)],
    counted=1,
)


def told(change: Callable[[list[Event]], list[Event]], stages: dict[int, str] | None = None) -> Record:
    """Return the legal record with changed events, and with the stages in which they end, so that none is missing."""
    ends = {
        derivation: (stage, None, None if stage == "unloaded" else LEGAL.stages[derivation][2])
        for derivation, stage in (stages or {}).items()
    }
    return replace(LEGAL, events=numbered(change(list(EVENTS))), stages={**LEGAL.stages, **ends})


def changed(number: int, **fields: object) -> Record:
    """Return the legal record with one event changed."""
    return told(lambda events: [*events[:number], replace(events[number], **fields), *events[number + 1 :]])  # type: ignore[arg-type]


def without(number: int) -> Record:
    return told(lambda events: events[:number] + events[number + 1 :])


def then(*events: Event, **stages: str) -> Record:
    """Return the legal record with more events at the end."""
    numbers = {"library": LIBRARY, "tool": TOOL, "resolved": RESOLVED}
    return told(lambda before: [*before, *events], {numbers[name]: stage for name, stage in stages.items()})


def leased(number: int, **fields: object) -> Record:
    """Return the legal record with one lease changed."""
    leases = [replace(row, **fields) if row.lease == number else row for row in LEGAL.leases]  # type: ignore[arg-type]
    return replace(LEGAL, leases=leases)


def stepped(*steps: Step) -> Record:
    return replace(LEGAL, steps=[*LEGAL.steps, *steps])


LOST = [
    replace(output(30, LIBRARY, None, "invalidate_lost_outputs in invalidate_paths"), path="library"),
    move(30, LIBRARY, "realised -> unloaded", "invalidate_lost_outputs in invalidate_paths"),
]
BUILT_AGAIN = [
    move(31, LIBRARY, "unloaded -> buildable", "reevaluate_readiness_along in register_derivations"),
    move(32, LIBRARY, "buildable -> building", "claim_builds in claim_derivations", lease=(None, 6)),
    output(33, LIBRARY, "library", f"record_built {BUILT}"),
    move(33, LIBRARY, "building -> realised", f"record_completions {BUILT}", lease=(6, None)),
]
LEASED_AGAIN = [*LEGAL.leases, lease(6, LIBRARY, "build", 4)]
STEPPED_AGAIN = [*LEGAL.steps, Step(JOB, 4, LIBRARY, 0, 0, 0)]
FOR_NO_REASON = move(30, LIBRARY, "realised -> unloaded", "invalidate_lost_outputs in invalidate_paths")
STARTED = "claim_builds in claim_derivations"

ILLEGAL: dict[str, tuple[str, Record]] = {
    "an event is missing": ("nothing_is_missing", without(11)),
    "the last event is missing": ("nothing_is_missing", without(21)),
    "the end of a lease is missing": ("nothing_is_missing", without(13)),
    "a derivation stands elsewhere": (
        "nothing_is_missing",
        replace(LEGAL, stages={**LEGAL.stages, LIBRARY: ("failed", None, None)}),
    ),
    "a derivation follows another one": (
        "nothing_is_missing",
        replace(LEGAL, stages={**LEGAL.stages, TOOL: ("realised", None, LIBRARY)}),
    ),
    "a move that is not listed": ("only_listed_moves", changed(7, to_stage="failed")),
    "a move by another function": ("only_listed_moves", changed(7, function="complete_derivations")),
    "a move by hand": ("only_listed_moves", changed(7, function=None, procedure=None)),
    "a lease while another is open": (
        "one_lease_at_a_time",
        told(lambda e: [*e[:2], move(11, TOOL, "unloaded", CLAIM, lease=(1, 2)), *e[3:]]),
    ),
    "a lease is taken twice": ("one_lease_at_a_time", changed(12, to_lease=1)),
    "a lease of another derivation": ("one_lease_at_a_time", leased(4, derivation=LIBRARY)),
    "a lease for another verb": ("one_lease_at_a_time", leased(4, verb="load")),
    "a lease that nobody took": ("one_lease_at_a_time", replace(LEGAL, leases=LEASED_AGAIN)),
    "a lease that is not on record": ("one_lease_at_a_time", replace(LEGAL, leases=LEGAL.leases[:-1])),
    "a lease that never closed": ("one_lease_at_a_time", leased(4, closed=None, outcome=None)),
    "leases of one derivation overlap": (
        "one_lease_at_a_time",
        leased(1, closed=BEGAN + timedelta(minutes=5)),
    ),
    "building without a lease": ("one_lease_at_a_time", changed(17, to_lease=None)),
    "a lease outlives its stage": ("one_lease_at_a_time", changed(10, to_lease=3)),
    "a lease is done, by a sweep": ("leases_end_as_they_say", changed(10, procedure="sweep")),
    "a lease is swept, by a report": ("leases_end_as_they_say", leased(4, outcome="swept")),
    "a lost claim gets somewhere": (
        "leases_end_as_they_say",
        replace(changed(20, procedure="sweep"), leases=leased(5, outcome="swept").leases),
    ),
    "ready before its input": ("nothing_is_ready_early", told(lambda e: [*e[:9], e[11], *e[9:11], *e[12:]])),
    "its input was lost just before": (
        "nothing_is_ready_early",
        told(lambda e: [*e[:11], replace(LOST[0], transaction=16), *e[11:]]),
    ),
    "left ready when its input is lost": (
        "nothing_is_ready_early",
        told(lambda e: [*e[:12], replace(LOST[0], transaction=17), *e[13:]]),
    ),
    "building starts after its input was lost": (
        "nothing_is_ready_early",
        replace(
            then(LOST[0], move(31, RESOLVED, "buildable -> building", STARTED)),
            dependencies={RESOLVED: {LIBRARY: ["out"]}},
        ),
    ),
    "an output is valid without a report": ("outputs_come_from_reports", changed(9, procedure="sweep")),
    "an output is valid by a claim": ("outputs_come_from_reports", changed(9, function="claim_builds")),
    "an output is built by nobody": (
        "outputs_come_from_reports",
        told(lambda e: [*e[:7], e[9], *e[7:9], *e[10:]]),
    ),
    "an output of a follower is not that of the resolution": ("outputs_come_from_reports", changed(19, path="other")),
    "an output of a follower comes first": (
        "outputs_come_from_reports",
        told(lambda e: [*e[:18], e[19], e[18], *e[20:]]),
    ),
    "an output that is not in the trace": (
        "outputs_come_from_reports",
        replace(LEGAL, realisations={(LIBRARY, "out", "library")}),
    ),
    "realised by a claim": ("realised_by_reports", changed(21, procedure="claim_derivations")),
    "realised without its output": ("realised_by_reports", without(19)),
    "looked at again without a loss": ("realised_is_left_for_a_reason", then(FOR_NO_REASON, library="unloaded")),
    "looked at again by a sweep": (
        "realised_is_left_for_a_reason",
        then(move(30, LIBRARY, "realised -> unloaded", "open_goals in sweep"), library="unloaded"),
    ),
    "looked at again for its info, later": (
        "realised_is_left_for_a_reason",
        then(move(30, LIBRARY, "realised -> unloaded", f"record_completions {BUILT}"), library="unloaded"),
    ),
    "forgotten though its output is valid": (
        "realised_is_left_for_a_reason",
        then(move(30, LIBRARY, "realised -> unloaded", "forget in prune"), library="unloaded"),
    ),
    "built twice": (
        "nothing_is_built_twice",
        replace(then(LOST[1], *BUILT_AGAIN), leases=LEASED_AGAIN, steps=STEPPED_AGAIN),
    ),
    "built without a row": ("nothing_is_built_twice", replace(LEGAL, steps=LEGAL.steps[:2])),
    "built, and the row says otherwise": (
        "nothing_is_built_twice",
        replace(LEGAL, steps=[*LEGAL.steps[:2], Step(JOB, 3, RESOLVED, 0, 0, 3)]),
    ),
    "a second success in one build": ("no_second_row", stepped(Step(JOB, 4, LIBRARY, 1, 0, 0))),
    "a second row of a resolution": ("no_second_row", stepped(Step(JOB, 4, TOOL, 0, 0, 13))),
    "a second row of an abortion": ("no_second_row", stepped(*(Step(JOB, n, TOOL, 0, 0, 3) for n in (4, 5)))),
    "a resolved derivation is built in two builds": ("no_second_row", stepped(Step(8, 1, RESOLVED, 0, 0, 0))),
    "a build is not counted": ("builds_agree", replace(LEGAL, counted=0)),
    "a build has no status": ("builds_agree", replace(LEGAL, builds=[Build(JOB, True, None, True)])),
    "a goal is recorded, its build is not finished": (
        "builds_agree",
        replace(LEGAL, builds=[Build(JOB, False, None, True)], counted=0),
    ),
    "an invariant is broken": ("invariants_hold", replace(LEGAL, violations=["check_ready has 1 rows"])),
}


def test_a_legal_history_breaks_no_rule() -> None:
    assert judge(LEGAL) == []
    assert unsettled(LEGAL) == []


def test_a_lost_output_may_be_built_again() -> None:
    again = replace(then(*LOST, *BUILT_AGAIN), leases=LEASED_AGAIN, steps=STEPPED_AGAIN)
    assert judge(again) == []


def test_each_reported_attempt_may_have_a_row() -> None:
    rows = stepped(*(Step(JOB, n, TOOL, 0, 0, 3) for n in (4, 5)))
    retried = [lease(100 + n, TOOL, "build", n, "retried") for n in (4, 5)]
    assert not any("no_second_row" in problem for problem in judge(replace(rows, leases=[*rows.leases, *retried])))


def test_an_output_may_be_built_after_another_one_was_found() -> None:
    found = replace(LEGAL, steps=[Step(JOB, 0, LIBRARY, 1, 0, 0), *LEGAL.steps])
    assert any("no_second_row" in problem for problem in judge(found)), "there is only one output"
    dev = replace(output(16, LIBRARY, "library-dev", f"record_built {BUILT}"), output="dev")
    two = replace(told(lambda e: [*e[:9], dev, *e[9:]]), steps=found.steps)
    assert not any("no_second_row" in problem for problem in judge(two))
    again = replace(two, steps=[*two.steps, Step(JOB, 4, LIBRARY, 1, 0, 0)])
    assert any("no_second_row" in problem for problem in judge(again))


@pytest.mark.parametrize("case", ILLEGAL)
def test_each_illegal_history_breaks_its_rule(case: str) -> None:
    rule, record = ILLEGAL[case]
    assert rule in {problem.partition(":")[0] for problem in judge(record)}


def test_every_rule_about_histories_has_an_illegal_case() -> None:
    assert {rule.__name__ for rule in RULES} == {rule for rule, _ in ILLEGAL.values()}


@pytest.mark.parametrize(
    ("problem", "record"),
    [
        ("build 7 is not finished", replace(LEGAL, builds=[Build(JOB, False, None, False)])),
        ("step 4 of build 7 is busy", stepped(Step(JOB, 4, TOOL, 0, 30, None))),
        ("lease 4 is open", leased(4, closed=None)),
        ("2 walks are not at their end", replace(LEGAL, walks=2)),
    ],
)
def test_unfinished_work_is_listed(problem: str, record: Record) -> None:
    assert unsettled(record) == [problem]


def test_a_real_history_is_legal(tmp_path: Path) -> None:
    with open_farm(tmp_path) as farm:
        with psycopg.connect(farm.conninfo, autocommit=True) as connection:
            connection.execute("select resolver.keep_history(true)")
        builds = farm.run(DEMO)
        (first,) = [build for build in builds.values() if build["job"] == "chain.first"]
        farm.command("restart", str(first["build"]))
        with psycopg.connect(farm.conninfo, autocommit=True) as connection:
            connection.execute("select resolver.invalidate_paths(array[%s])", [first["outputs"]["out"]])
        farm.run(DEMO)
        record = read(farm.conninfo)
    assert len(record.events) > 200
    assert {event.function for event in record.events} >= {
        "invalidate_lost_outputs",
        "apply_resolutions",
        "record_failure",
    }
    assert judge(record) == []
    assert unsettled(record) == []


def test_an_upgrade_ends_the_history_until_keep_history_is_called_again(database: str) -> None:
    triggers = "select count(*) from pg_trigger where tgname like 'history%'"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("select resolver.keep_history(true)")
        assert connection.execute(triggers).fetchone() == (3,)
        connection.execute("update resolver.installation set functions = 'those of another release'")
        install(database)
        assert connection.execute(triggers).fetchone() == (0,)
        connection.execute("select resolver.keep_history(true)")
        assert connection.execute(triggers).fetchone() == (3,)
