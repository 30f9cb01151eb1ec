"""Checks that a history is legal. Each rule yields one message for each violation."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise

from .history import Event, Record, Situation, replay

Rule = Callable[[Record], Iterator[str]]

VERB_OF_STAGE = {"unloaded": "load", "resolvable": "resolve", "building": "build"}
READY = ("resolvable", "resolved", "buildable", "building")
BUILD_REPORTS = {"finish_steps", "finish_step", "fail_steps", "fail_step"}
FOUND_REPORTS = {"register_derivations", "register_local_outputs", "set_resolved_to"}
REPORTS = BUILD_REPORTS | FOUND_REPORTS
REPORTS_OF_VERB = {"load": {"register_derivations"}, "resolve": {"set_resolved_to"}, "build": BUILD_REPORTS}
CLOSED_BY = {
    "swept": {"sweep", "report_dead_workers"},
    "released": {"release_claims", "release_other_claims", "deregister_worker"},
    "retried": {"fail_steps", "fail_step"},
}
WISHES = {"enqueue", "sync_builds", "restart_build", "cancel_build"}
SUCCEEDED, RESOLVED = 0, 13


def judge(record: Record) -> list[str]:
    """Return all violations of all rules."""
    return [f"{rule.__name__}: {problem}" for rule in RULES for problem in rule(record)]


def nothing_is_missing(record: Record) -> Iterator[str]:
    """Each event begins in the state in which the previous one ended, and the last event leads to the current state."""
    situation = Situation()
    for event, situation in replay(record.events):
        if event.to_stage is None:
            continue
        derivation = event.derivation
        before = situation.stage(derivation), situation.leases.get(derivation)
        if before != (event.from_stage, event.from_lease):
            yield f"event {event.event}: {derivation} is {before}, not {(event.from_stage, event.from_lease)}"
    for derivation, now in record.stages.items():
        told = (
            situation.stage(derivation),
            situation.leases.get(derivation),
            situation.resolutions.get(derivation),
        )
        if told != now:
            yield f"{derivation} is {now}, its history leads to {told}"


def only_listed_moves(record: Record) -> Iterator[str]:
    """Only the functions in the table `transition` make moves, and only the moves that the table lists."""
    for event in record.events:
        if event.is_move and (event.from_stage, event.to_stage, event.function) not in record.transitions:
            yield f"event {event.event}: {event.derivation} {event.from_stage} -> {event.to_stage} by {event.function}"


def one_lease_at_a_time(record: Record) -> Iterator[str]:
    """Each lease is taken once and ended once; a derivation has at most one lease, and the lease fits the stage."""
    rows = {lease.lease: lease for lease in record.leases}
    taken: Counter[int] = Counter()
    ended: dict[int, Event] = {}
    for event in record.events:
        if event.to_stage is None:
            continue
        old, new = event.from_lease, event.to_lease
        if new is not None and new != old:
            taken[new] += 1
            row = rows.get(new)
            if old is not None:
                yield f"event {event.event}: lease {new} of {event.derivation} begins while {old} is open"
            if row is None or row.derivation != event.derivation or row.verb != VERB_OF_STAGE.get(event.to_stage):
                yield f"event {event.event}: {event.derivation} is {event.to_stage} with lease {new}, which is {row}"
        if old is not None and new != old:
            ended[old] = event
        if (event.to_stage == "building") != (new is not None and VERB_OF_STAGE.get(event.to_stage) == "build"):
            yield f"event {event.event}: {event.derivation} is {event.to_stage} with lease {new}"
        if new is not None and event.to_stage not in VERB_OF_STAGE:
            yield f"event {event.event}: {event.derivation} is {event.to_stage} and leased"
    for lease in record.leases:
        if taken[lease.lease] != 1:
            yield f"lease {lease.lease} was taken {taken[lease.lease]} times"
        if (lease.closed is None) != (lease.lease not in ended):
            yield f"lease {lease.lease} is {lease.outcome}, and ended by {ended.get(lease.lease)}"
    by_derivation = defaultdict(list)
    for lease in sorted(record.leases, key=lambda lease: lease.lease):
        by_derivation[lease.derivation].append(lease)
    for leases in by_derivation.values():
        for lease, following in pairwise(leases):
            if lease.closed is None or following.opened < lease.closed:
                yield f"leases {lease.lease} and {following.lease} of {lease.derivation} overlap"


def leases_end_as_they_say(record: Record) -> Iterator[str]:
    """The outcome of a lease fits the procedure that ended it; a lease that ends without a report changes no stage."""
    rows = {lease.lease: lease for lease in record.leases}
    for event in record.events:
        row = rows.get(event.from_lease or 0)
        if row is None or event.to_lease == row.lease:
            continue
        outcome = row.outcome or "open"
        allowed = REPORTS_OF_VERB[row.verb] if outcome == "done" else CLOSED_BY.get(outcome)
        if allowed is not None and event.procedure not in allowed:
            yield f"event {event.event}: lease {row.lease} is {outcome}, but was ended by {event.procedure}"
        to_stage = "buildable" if row.verb == "build" else event.from_stage
        if outcome in CLOSED_BY and event.to_stage != to_stage:
            yield f"event {event.event}: {event.derivation} became {event.to_stage} by a lease that was {outcome}"


def nothing_is_ready_early(record: Record) -> Iterator[str]:
    """A derivation that becomes ready has all its inputs, and still has them whenever a transaction ends."""
    dependents: dict[int, list[int]] = defaultdict(list)
    for derivation, inputs in record.dependencies.items():
        for needed in inputs:
            dependents[needed].append(derivation)

    def lacking(derivation: int, situation: Situation) -> list[str]:
        needed = record.dependencies.get(derivation, {})
        return [f"{i}^{name}" for i, names in needed.items() for name in names if not situation.is_valid(i, name)]

    last = {event.transaction: event.event for event in record.events}
    touched: dict[int, set[int]] = defaultdict(set)
    for event, situation in replay(record.events):
        if event.is_move and event.to_stage in READY and (lacks := lacking(event.derivation, situation)):
            yield f"event {event.event}: {event.derivation} becomes {event.to_stage} without {lacks}"
        if event.is_move or event.output is not None:
            touched[event.transaction] |= {event.derivation, *(dependents[event.derivation] if event.output else [])}
        if last[event.transaction] == event.event:
            situation.apply(event)
            for derivation in touched.pop(event.transaction, ()):
                stage = situation.stage(derivation)
                if stage in READY and stage != "building" and (lacks := lacking(derivation, situation)):
                    yield f"event {event.event}: {derivation} is left {stage} without {lacks}"


def outputs_come_from_reports(record: Record) -> Iterator[str]:
    """An output becomes valid by a report, or because the resolved derivation has it; the trace knows its path."""
    for event, situation in replay(record.events):
        derivation, output = event.derivation, event.output
        if output is None or not event.valid or situation.is_valid(derivation, output):
            continue
        followed = situation.resolutions.get(derivation)
        match event.function:
            case "record_built":
                legal = event.procedure in BUILD_REPORTS and situation.stage(derivation) == "building"
            case "record_outputs":
                legal = event.procedure in FOUND_REPORTS
            case "record_completions":
                origin = situation.outputs[followed].get(output) if followed is not None else None
                legal = origin is not None and origin.valid and origin.path == event.path
            case _:
                legal = False
        if not legal:
            yield f"event {event.event}: {derivation}^{output} is valid by {event.function} in {event.procedure}"
        if not any((d, output, event.path) in record.realisations for d in (derivation, followed)):
            yield f"event {event.event}: {derivation}^{output} is {event.path}, of which the trace knows nothing"


def realised_by_reports(record: Record) -> Iterator[str]:
    """A derivation becomes realised in a report, and then all its wanted outputs (possibly none) are valid."""
    for event, situation in replay(record.events):
        if event.is_move and event.to_stage == "realised":
            if event.procedure not in REPORTS:
                yield f"event {event.event}: {event.derivation} is realised by {event.procedure}"
            if lacks := situation.lacks(event.derivation):
                yield f"event {event.event}: {event.derivation} is realised without {lacks}"


def realised_is_left_for_a_reason(record: Record) -> Iterator[str]:
    """A derivation leaves `realised` only after a loss or by a new wish; a forgotten one has no valid output."""
    realised_in: dict[int, int] = {}
    for event, situation in replay(record.events):
        if event.is_move and event.to_stage == "realised":
            realised_in[event.derivation] = event.transaction
        if not event.is_move or event.from_stage != "realised":
            continue
        match event.function:
            case "invalidate_lost_outputs" | "propagate_demand_along" | "apply_resolutions":
                legal = bool(situation.lacks(event.derivation))
            case "open_goals":
                legal = event.procedure in WISHES
            case "record_completions":
                legal = realised_in.get(event.derivation) == event.transaction
            case "delete_pruned":
                legal = not any(output.valid for output in situation.outputs[event.derivation].values())
            case _:
                legal = False
        if not legal:
            yield f"event {event.event}: {event.derivation} is not realised any more by {event.function}"


def nothing_is_built_twice(record: Record) -> Iterator[str]:
    """Between two successful attempts at a derivation, one of its outputs was lost; each attempt has its one row."""
    steps = {(step.build, step.stepnr): step for step in record.steps}
    rows = {lease.lease: lease for lease in record.leases}
    builds = {build.build for build in record.builds}
    built: set[int] = set()
    for event, situation in replay(record.events):
        derivation = event.derivation
        if event.output is not None and not event.valid and situation.is_valid(derivation, event.output):
            built.discard(derivation)
        if not event.is_move or (event.from_stage, event.to_stage) != ("building", "realised"):
            continue
        if derivation in built:
            yield f"event {event.event}: {derivation} was built already"
        built.add(derivation)
        lease = rows.get(event.from_lease or 0)
        if lease is not None and lease.build in builds:
            step = steps.get((lease.build, lease.stepnr or 0))
            if step is None or (step.derivation, step.type, step.status) != (derivation, 0, SUCCEEDED):
                yield f"event {event.event}: {derivation} was built in step {lease.stepnr} of {lease.build}: {step}"


def no_second_row(record: Record) -> Iterator[str]:
    """A build has one row per derivation and status; a resolved derivation has one success in all builds together.

    Failures are an exception: each reported attempt has a row, and so has each failure that ended the build. If some
    outputs were found and others were built later, both have a row.
    """
    losses, failures, in_part = _losses(record), _failures(record), _found_in_part(record)
    retried = Counter((lease.build, lease.derivation) for lease in record.leases if lease.outcome == "retried")
    rows = Counter((step.build, step.derivation, step.status) for step in record.steps if not step.busy)
    for (build, derivation, status), number in rows.items():
        failed = failures[derivation] + retried[build, derivation]
        succeeded = 1 + losses[derivation] + ((build, derivation) in in_part)
        allowed = {SUCCEEDED: succeeded, RESOLVED: 1}.get(status or 0, max(1, failed))
        if number > allowed:
            yield f"build {build} has {number} rows of {derivation} with status {status}, {allowed} would be legal"
    successes = Counter(step.derivation for step in record.steps if (step.type, step.status) == (0, SUCCEEDED))
    for derivation in sorted(record.resolved):
        if successes[derivation] > 1 + losses[derivation]:
            yield f"{successes[derivation]} steps built {derivation}, which was lost {losses[derivation]} times"


def _losses(record: Record) -> Counter[int]:
    """Count the transactions in which outputs of each derivation were lost."""
    lost = {
        (event.derivation, event.transaction)
        for event, situation in replay(record.events)
        if event.output is not None and not event.valid and situation.is_valid(event.derivation, event.output)
    }
    return Counter(derivation for derivation, _ in lost)


def _found_in_part(record: Record) -> set[tuple[int, int]]:
    """The builds and derivations with several outputs that have a row of type 1 and a later row of an attempt."""
    outputs = Counter(d for d, _ in {(event.derivation, event.output) for event in record.events if event.output})
    done = [step for step in record.steps if step.status == SUCCEEDED and outputs[step.derivation] > 1]
    found = {(step.build, step.derivation): step.stepnr for step in done if step.type == 1}
    return {
        key
        for step in done
        if step.type == 0 and (key := (step.build, step.derivation)) in found and found[key] < step.stepnr
    }


def _failures(record: Record) -> Counter[int]:
    return Counter(event.derivation for event in record.events if event.is_move and event.to_stage == "failed")


def builds_agree(record: Record) -> Iterator[str]:
    """Hydra's counter, the builds and the goals agree."""
    finished = sum(build.finished for build in record.builds)
    if finished != record.counted:
        yield f"{finished} builds are finished, {record.counted} are counted"
    for build in record.builds:
        if build.finished and build.status is None:
            yield f"build {build.build} is finished, and has no status"
        if build.recorded is not None and build.finished != build.recorded:
            yield f"build {build.build} is finished: {build.finished}, its goal is recorded: {build.recorded}"


def invariants_hold(record: Record) -> Iterator[str]:
    """All check_* views are empty."""
    yield from record.violations


def unsettled(record: Record) -> list[str]:
    """Return the work that is still unfinished; empty if the workers have done everything."""
    return [
        *(f"build {build.build} is not finished" for build in record.builds if not build.finished),
        *(f"step {step.stepnr} of build {step.build} is busy" for step in record.steps if step.busy),
        *(f"lease {lease.lease} is open" for lease in record.leases if lease.closed is None),
        *([f"{record.walks} walks are not at their end"] if record.walks else []),
    ]


RULES: tuple[Rule, ...] = (
    nothing_is_missing,
    only_listed_moves,
    one_lease_at_a_time,
    leases_end_as_they_say,
    nothing_is_ready_early,
    outputs_come_from_reports,
    realised_by_reports,
    realised_is_left_for_a_reason,
    nothing_is_built_twice,
    no_second_row,
    builds_agree,
    invariants_hold,
)
