"""A session that calls a procedure in a transaction and then idles does not stop the farm."""

from __future__ import annotations

from time import monotonic

import psycopg
import pytest

from hydra_resolver.database.procedures import Procedures

from ..support.databases import enqueue, rows
from ..support.waiting import wait_until

CLAIM = "select resolver.claim_derivations(1, 'load', 1)"
HEARTBEAT = "select resolver.heartbeat(1)"
UNLIMITED = "set idle_in_transaction_session_timeout = 0"


@pytest.fixture
def procedures(database: str) -> Procedures:
    """Procedures of a registered worker, with a build that it can load."""
    opened = Procedures(database, connections=2)
    enqueue(opened)
    opened.register_worker(
        name="w", verbs=["load"], systems=["any"], features=[], store_directory="/nix/store", store_identity="tests"
    )
    return opened


@pytest.mark.parametrize("undone", [(), (UNLIMITED,)], ids=["within-5-s", "that-undoes-its-limit"])
@pytest.mark.parametrize("call", [CLAIM, HEARTBEAT], ids=["a-claim", "a-heartbeat"])
def test_a_session_that_idles_in_a_transaction_is_ended(
    database: str, procedures: Procedures, call: str, undone: tuple[str, ...]
) -> None:
    stopped = psycopg.connect(database)
    for statement in (call, *undone):
        stopped.execute(statement.encode())
    pid = stopped.info.backend_pid

    def is_gone() -> bool:
        """Sweep, as workers do once a second, within the lock timeout; return whether the idle session is gone."""
        began = monotonic()
        try:
            procedures.sweep()
            procedures.sync_builds(all_builds=True)
        except psycopg.errors.LockNotAvailable:
            pass
        assert monotonic() - began < 15
        return rows(database, f"select from pg_stat_activity where pid = {pid}") == []

    wait_until(is_gone, within=30)
    with pytest.raises(psycopg.Error):
        stopped.execute("select 1")
    assert [claim.drv for claim in procedures.claim(1, "load", 1)], "the derivation can be claimed again"
    procedures.close()


def test_a_session_that_works_in_its_transaction_is_not_ended(database: str, procedures: Procedures) -> None:
    with psycopg.connect(database) as busy:
        busy.execute(UNLIMITED.encode())
        busy.execute(CLAIM.encode())
        busy.execute("select pg_sleep(11)")
        procedures.sweep()
        assert busy.execute("select 1").fetchone() == (1,)
    procedures.close()
