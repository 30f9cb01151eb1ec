"""Unexpected errors in the work for one claim: its derivation loses an attempt, and the worker goes on."""

from __future__ import annotations

import traceback

import psycopg

from ..database.errors import DatabaseError, is_unstorable
from ..database.procedures import Verb
from ..nix.errors import ConnectionLost, NixNotFound, ProtocolError
from ..step_status import HydraStatus, StepFailure, failure_of_exception
from ..verbs.load import Report
from .worker_state import Observer

OF_ALL_CLAIMS = (ConnectionLost, ProtocolError, NixNotFound, OSError, psycopg.Error, DatabaseError)
"""Errors of the store, the machine and the database. They say nothing about the derivation of the claim."""


def tell_unexpected(observer: Observer, verb: Verb, drv: str | None, error: Exception) -> None:
    """Report an error with its traceback. `drv`: the derivation that failed by it, if it was one alone."""
    text = "".join(traceback.format_exception(error))
    observer.event("unexpected", verb=verb, drv=drv, message=f"{type(error).__name__}: {error}", traceback=text)


def failure_by(error: Exception) -> StepFailure:
    """Return the failure for this error of an attempt: final if the database can never store the report."""
    if isinstance(error, psycopg.Error) and is_unstorable(error):
        return StepFailure(
            HydraStatus.ABORTED, "unsupported", f"the database can't store the report: {error.diag.message_primary}"
        )
    return failure_of_exception(error)


def failed_report(lease: int, drv: str, error: Exception) -> Report:
    """Return a report of load or resolve: a claim failed by this error."""
    return {"lease": lease, "drv": drv, "failed": failure_by(error).described()}
