"""The verb build: Nix builds one concrete derivation, and the worker evaluates the result."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from ..build_log import BuildLog, log_path
from ..database.procedures import Claim
from ..nix.build_result import BuildResult
from ..nix.client import Client
from ..nix.closure import InvalidPath, PathInfos
from ..nix.derivation import Derivation, DerivationError, Kind
from ..nix.errors import NixError
from ..outputs import inspect_outputs
from ..step_status import HydraStatus, StepFailure, failure_of, failure_of_error
from .context import Context, Withdraw
from .load import Report
from .untrusted import ALREADY_VALID, NotBuilt, add_copy, as_built, is_believed, is_forestalled
from .vanished import missing, vanished
from .watcher import LogFlooded, OtherDerivationStarted, Watcher

_EXISTS = "File exists"
_LEFTOVER = re.compile(r"(?<=/)[0-9a-z]{32}-[A-Za-z0-9+._?=-]+\.tmp\b")
"""The copy of an output in which Nix replaces names. It lies in the store, and no later Nix overwrites it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of an attempt: a report of success or failure; without a report, the claim is released for `reason`."""

    report: Report | None
    succeeded: bool = False
    reason: str = ""
    is_counted: bool = True
    """Whether a release counts as an attempt. It does not if the worker stops, or may not build any more."""
    blocking_paths: frozenset[str] = frozenset()
    """Paths to delete: leftovers of a killed Nix in the store, paths that Nix wrongly takes for valid."""


def build(
    context: Context, client: Client, claim: Claim, withdraw: Withdraw, runs: Callable[[str], None] = lambda _: None
) -> Outcome:
    """Build a claimed derivation. All of its inputs must be valid, else Nix builds them without the database.

    When Nix starts the build, `runs` receives the machine that builds it. Raises ConnectionLost if the connection was
    ended, or ends by itself.
    """
    try:
        derivation = context.derivations.get(claim.drv, client)
    except (NixError, DerivationError) as error:
        if not client.query_valid_paths([claim.drv]):
            return _without({claim.drv}, context, claim, withdraw)
        failure = StepFailure(HydraStatus.ABORTED, "transient", f"the .drv can't be read: {error}")
        return _failed(claim, failure, None)

    inputs = sorted({*derivation.input_srcs, *claim.inputs})
    # Nix itself protects only outputs with known paths: a collector would delete the others while they are written.
    store_dir = context.store.store_dir
    unfinished = [
        store_dir.unfinished_output_path(claim.drv, name)
        for name in derivation.outputs
        if derivation.output_path(name, store_dir) is None
    ]
    needed = {claim.drv, *inputs}
    began = time.time_ns()
    # If the derivation has input derivations, Nix would build a missing input: make certain that none is missing.
    protect = client.protect if derivation.input_drvs else client.keep
    gone = needed - protect({*needed, *unfinished})
    if gone:
        return _without(gone, context, claim, withdraw)

    client.set_options(
        context.store.settings.with_limits(
            timeout=claim.timeout,
            max_silent_time=claim.max_silent,
            max_log_size=context.max_log_size,  # Nix also counts the bytes of an unfinished line
            remote=context.remote,
        )
    )
    watcher = Watcher(
        context.store.full_path(claim.drv),
        lambda: BuildLog(context.logs, claim.drv, limit=context.max_log_size),
        runs,
    )
    try:
        with context.turn.taken() as watcher.under_way:
            forestalled = is_forestalled(context, client, claim, derivation)
            result = None if forestalled else client.build(claim.drv, events=watcher)
            if result is None or not is_believed(context, claim, derivation, result):
                copy = add_copy(context, client, derivation)
                watcher.drv_path = context.store.full_path(copy)
                result = as_built(claim, client.build(copy, events=watcher))
    except NixError as error:
        blocking_paths = _blocking_paths(str(error), context.store.store_dir.prefix)
        if not blocking_paths and (
            excuse := _release_if_inputs_are_gone(context, client, claim, needed, began, withdraw)
        ):
            return excuse
        return replace(
            _failed(claim, failure_of_error(error, kind=derivation.kind), watcher), blocking_paths=blocking_paths
        )
    except LogFlooded:
        flooded = StepFailure(
            HydraStatus.LOG_LIMIT_EXCEEDED, "timeout", f"the log went beyond its limit of {context.max_log_size} bytes"
        )
        return _failed(claim, flooded, watcher)
    except OtherDerivationStarted as error:
        other = StepFailure(HydraStatus.ABORTED, "transient", f"Nix began to build another derivation: {error}")
        return _failed(claim, other, watcher)
    except NotBuilt as error:
        return _failed(claim, StepFailure(HydraStatus.ABORTED, "transient", str(error)), watcher)
    except OSError as error:
        return _failed(
            claim, StepFailure(HydraStatus.ABORTED, "transient", f"the log can't be written: {error}"), watcher
        )
    finally:
        watcher.close()
    if not result.succeeded:
        if excuse := _release_if_inputs_are_gone(context, client, claim, needed, began, withdraw):
            return excuse
        failure = failure_of(result, kind=derivation.kind)
        if failure.status == HydraStatus.UNSUPPORTED and context.remote and context.store.settings.builders:
            # The claim names a machine that can build it: if Nix can't reach that machine, it gives the same status.
            failure = replace(failure, status=HydraStatus.ABORTED, failure_class="transient")
        return _failed(claim, failure, watcher, result)
    return _succeeded(context, client, claim, derivation, result, watcher)


def _release_if_inputs_are_gone(
    context: Context, client: Client, claim: Claim, needed: set[str], began: int, withdraw: Withdraw
) -> Outcome | None:
    """Return an outcome that excuses the failed attempt, if an input was missing for a while; else `None`."""
    gone, made_again = vanished(context.store, client, needed, began)
    if gone:
        return _without(gone, context, claim, withdraw)
    if made_again:
        return Outcome(None, reason=f"inputs were gone from the store for a while: {', '.join(sorted(made_again))}")
    return None


def _without(gone: Collection[str], context: Context, claim: Claim, withdraw: Withdraw) -> Outcome:
    """Return the outcome of an attempt without these paths: nothing can be built."""
    names = ", ".join(sorted(gone))
    if withdraw(sorted(gone)):
        return Outcome(None, reason=f"inputs are gone from the store: {names}")
    failure = StepFailure(HydraStatus.ABORTED, "transient", f"sources are not in the store: {names}")
    if claim.drv in gone:  # no attempt and no other derivation can restore it
        message = (
            f"the .drv is not in the store any more: {context.store.full_path(claim.drv)}. Evaluate the jobset again,"
            " or put the file back, and restart the build"
        )
        failure = StepFailure(HydraStatus.ABORTED, "unsupported", message)
    return _with_log(context, claim, _failed(claim, failure, None))


def _blocking_paths(message: str, prefix: str) -> frozenset[str]:
    return frozenset(_LEFTOVER.findall(message.replace(prefix, "/")) if _EXISTS in message else ())


def failed(claim: Claim, failure: StepFailure) -> Outcome:
    """Return the outcome of an attempt that failed by an error that the worker found, not Nix."""
    return _failed(claim, failure, None)


def interrupted(context: Context, claim: Claim, failure: StepFailure) -> Outcome:
    """Return the outcome of an attempt that was interrupted, perhaps with a log."""
    return _with_log(context, claim, _failed(claim, failure, None))


def cancelled(context: Context, claim: Claim) -> Outcome:
    """Return the outcome of an attempt that was ended, or not started, since no build needs the derivation."""
    reason = "no build needs the derivation any more"
    report = {"lease": claim.lease, "status": int(HydraStatus.CANCELLED), "class": "cancelled", "message": reason}
    return _with_log(context, claim, Outcome(report, reason=reason))


def _with_log(context: Context, claim: Claim, outcome: Outcome) -> Outcome:
    """Add the log to the report of an outcome, if there is one."""
    log = str(log_path(context.logs, claim.drv))
    found = os.path.exists(log)  # noqa: PTH110 - never raises
    return replace(outcome, report=(outcome.report or {}) | {"log": log if found else None})


def _succeeded(
    context: Context, client: Client, claim: Claim, derivation: Derivation, result: BuildResult, watcher: Watcher
) -> Outcome:
    outputs = dict(result.built_outputs)
    if outputs.keys() != derivation.outputs.keys() and (context.trust_store or derivation.kind is not Kind.FLOATING):
        recorded = client.query_derivation_output_map(claim.drv)
        outputs = {name: path for name in derivation.outputs if (path := outputs.get(name) or recorded.get(name))}
    if outputs.keys() != derivation.outputs.keys():
        unknown = StepFailure(HydraStatus.ABORTED, "transient", "Nix does not name all outputs that it has built")
        return _failed(claim, unknown, watcher, result)
    # A running collector does not read new roots, but Nix sends it temporary roots. It may still have been faster.
    paths = sorted(set(outputs.values()))
    infos = PathInfos(client)
    try:
        infos.get_many(paths, protect=True)
    except InvalidPath as error:
        return Outcome(None, reason=f"the collector deleted an output as soon as it existed: {error.path}")
    if lost := missing(context.store, paths, (claim.drv, *derivation.input_srcs)):
        return Outcome(
            None,
            reason=f"the collector deleted an output before it was valid: {', '.join(sorted(lost))}",
            blocking_paths=lost,
        )
    if words := context.too_large(infos, paths):
        return _failed(claim, StepFailure(HydraStatus.OUTPUT_TOO_LARGE, "timeout", words), watcher, result)
    context.roots.add_many(client, paths)
    report = _report(claim, watcher, result) | {
        "outputs": outputs,
        "already_valid": result.status in ALREADY_VALID,
        "info": inspect_outputs(context.store, infos, outputs) if claim.root else None,
    }
    return Outcome(report, succeeded=True)


def _failed(claim: Claim, failure: StepFailure, watcher: Watcher | None, result: BuildResult | None = None) -> Outcome:
    return Outcome(_report(claim, watcher, result) | failure.described())


def _report(claim: Claim, watcher: Watcher | None, result: BuildResult | None) -> Report:
    named = {"machine": watcher.machine} if watcher and watcher.machine else {}  # else the claim's machine stays
    return named | {
        "lease": claim.lease,
        "log": str(watcher.log.path) if watcher and watcher.log else None,
        "times_built": max(result.times_built, 1) if result else None,
        "non_deterministic": result.is_non_deterministic if result else None,
    }
