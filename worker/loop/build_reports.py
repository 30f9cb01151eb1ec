"""What became of builds, told to the database and to whoever watches."""

from __future__ import annotations

from collections.abc import Sequence

from ..database.procedures import Claim
from ..verbs.build import Outcome
from .shared import Shared


def report(shared: Shared, ended: Sequence[tuple[Claim, Outcome]]) -> None:
    """Report attempts that have ended. Raises psycopg.Error; then all of it may be reported once more."""
    procedures, observer = shared.procedures, shared.observer
    good = [outcome.report for _, outcome in ended if outcome.report is not None and outcome.succeeded]
    bad = [outcome.report for _, outcome in ended if outcome.report is not None and not outcome.succeeded]
    finished = shared.report("finish_steps", good, then="resolve")
    answers = {answer.lease: answer for answer in finished + procedures.fail_steps(bad)}
    for claim, outcome in ended:
        if outcome.report is None:
            procedures.release_claims(shared.worker, [claim.lease], outcome.reason)
        if outcome.report is None or outcome.reason:
            observer.event("released", drv=claim.drv, build=claim.build, message=outcome.reason)
        else:
            observer.event(
                "built" if outcome.succeeded else "build_failed",
                drv=claim.drv,
                build=claim.build,
                stepnr=claim.stepnr,
                outcome=answers[claim.lease].outcome,
                message=outcome.report.get("message"),
            )
