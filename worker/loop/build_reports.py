"""Reports of ended builds, to the database and to the observer."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from ..database.errors import is_about_content
from ..database.procedures import Claim
from ..step_status import HydraStatus, StepFailure
from ..verbs.build import Outcome, failed
from .unexpected import failure_by
from .worker_state import WorkerState


def report(shared: WorkerState, ended: Sequence[tuple[Claim, Outcome]]) -> None:
    """Report attempts that have ended. Raises psycopg.Error; then all of them may be reported once more.

    If the database refuses a single report, a report of failure replaces it; if it refuses that too, the claim is
    released.
    """
    try:
        _report_together(shared, ended)
    except psycopg.Error as error:
        if not is_about_content(error):
            raise
        if len(ended) > 1:
            for one in ended:
                report(shared, [one])
            return
        ((claim, outcome),) = ended
        shared.observer.event("database_error", verb="build", drv=claim.drv, message=str(error))
        if outcome.succeeded:
            report(shared, [(claim, failed(claim, failure_by(error)))])
        else:
            _release(shared, claim, str(error))


def _report_together(shared: WorkerState, ended: Sequence[tuple[Claim, Outcome]]) -> None:
    procedures, observer = shared.procedures, shared.observer
    good = [outcome.report for _, outcome in ended if outcome.report is not None and outcome.succeeded]
    bad = [outcome.report for _, outcome in ended if outcome.report is not None and not outcome.succeeded]
    finished = shared.report("finish_steps", good, then="resolve")
    answers = {answer.lease: answer for answer in finished + procedures.fail_steps(bad)}
    for claim, outcome in ended:
        if outcome.report is None:
            procedures.release_claims(shared.worker, [claim.lease], outcome.reason, attempted=outcome.is_counted)
        if outcome.report is None or outcome.reason:
            observer.event("released", drv=claim.drv, build=claim.build, message=outcome.reason)
            continue
        answer = answers[claim.lease]
        observer.event(
            "built" if outcome.succeeded else "build_failed",
            drv=claim.drv,
            build=claim.build,
            stepnr=claim.stepnr,
            outcome=answer.outcome,
            message=outcome.report.get("message"),
        )
        if answer.outcome == "refused":  # the claim is still open, unless this was a second report
            reason = f"the report was refused: {answer.detail}"
            if outcome.succeeded:
                report(shared, [(claim, failed(claim, StepFailure(HydraStatus.ABORTED, "transient", reason)))])
            else:
                _release(shared, claim, reason)


def _release(shared: WorkerState, claim: Claim, reason: str) -> None:
    shared.procedures.release_claims(shared.worker, [claim.lease], reason, attempted=True)
    shared.observer.event("released", drv=claim.drv, build=claim.build, message=reason)
