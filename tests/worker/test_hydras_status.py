"""Workers answer `hydra-queue-runner --status` and the programs that call it, simulated by their SQL statements."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hydra_resolver.database.install import install
from hydra_resolver.database.privileges import grant
from hydra_resolver.database.uninstall import uninstall
from hydra_resolver.embedded.postgres import EmbeddedPostgres

from ..support.databases import execute, name_of, role_of, rows, running_build
from ..support.farm import Farm, open_farm
from ..support.waiting import PATIENCE
from .test_workers import set_lease_time, start_worker

READ = "select status from SystemStatus where what = 'queue-runner'"
SILENCE = 5.0  # seconds
LISTENING = "select 1 from pg_stat_activity where query = 'listen worker_beat' and state = 'idle' having count(*) = {}"
"""A worker listens to this channel last: so many workers listen to all channels."""
GAUGES = (
    "nrActiveSteps", "nrStepsBuilding", "nrStepsCopyingTo", "nrStepsCopyingFrom", "nrStepsWaiting", "nrRunnableSteps",
    "nrUnfinishedSteps", "nrStepsDone", "nrRetries", "nrUnsupportedSteps", "maxNrRetries", "nrBuildsRead",
    "nrQueuedBuilds", "nrBuildsDone", "nrQueueWakeups", "bytesSent", "bytesReceived",
)  # fmt: skip
"""The fields that hydra-send-stats reads: it dies if one is missing."""


def asked(conninfo: str, patience: float = PATIENCE) -> tuple[dict[str, Any], bool]:
    """Ask as the program does; return the status, and whether an answer came in time, if there was a worker to ask."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("listen status_dumped")
        row, heard = connection.execute(READ).fetchone(), True
        if row:
            connection.execute("notify dump_status")
            heard = any(True for _ in connection.notifies(timeout=patience, stop_after=1))
            row = connection.execute(READ).fetchone()
        return (row[0] if row else {"status": "down"}), heard


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    with open_farm(tmp_path) as opened:
        yield opened


def test_workers_answer_a_status_request_while_one_of_them_lives(farm: Farm) -> None:
    assert asked(farm.conninfo) == ({"status": "down"}, True)
    workers = [start_worker(farm) for _ in range(2)]
    farm.wait_for(LISTENING.format(2))
    farm.wait_for(READ)
    farm.command("enqueue", farm.write("one.nix", '{ one = floating "one" "sleep 60; echo > $out" { }; }'))
    farm.wait_for("select 1 from BuildSteps where busy = 30")
    told, heard = asked(farm.conninfo)
    assert heard
    assert told["status"] == "up"
    assert all(isinstance(told[name], int) for name in GAUGES), told
    assert (told["nrQueuedBuilds"], told["nrStepsBuilding"], told["nrUnfinishedSteps"]) == (1, 1, 1)
    assert [types for types in told["machineTypes"].values() if types["running"]] == [{"runnable": 0, "running": 1}]
    assert told["machines"]["localhost"]["enabled"] is True
    assert told["machines"]["localhost"]["currentJobs"] == 1

    for worker, left in zip(workers, ("up", "down"), strict=True):
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(PATIENCE) == 0, worker.communicate()[0]
        told, heard = asked(farm.conninfo)
        assert (told["status"], heard) == (left, True)


def test_a_status_request_after_a_crash_has_no_answer_until_there_is_a_worker_again(farm: Farm) -> None:
    killed = start_worker(farm)
    farm.wait_for(READ)
    killed.kill()
    killed.wait()
    assert asked(farm.conninfo, SILENCE)[1] is False
    heir = start_worker(farm)
    farm.wait_for(LISTENING.format(1))
    farm.wait_for("select 1 from SystemStatus, resolver.worker where worker = 2 and started_at < clock_timestamp()")
    told, heard = asked(farm.conninfo)
    assert (told["status"], heard) == ("up", True)
    heir.send_signal(signal.SIGTERM)
    assert heir.wait(PATIENCE) == 0, heir.communicate()[0]


def test_the_status_is_up_again_when_a_worker_returns_that_was_declared_dead(farm: Farm) -> None:
    set_lease_time(farm, "2s")
    suspended = start_worker(farm)
    farm.wait_for(READ)
    suspended.send_signal(signal.SIGSTOP)
    farm.wait_for("select 1 from resolver.worker where heartbeat < clock_timestamp() - interval '2 seconds'")
    farm.command("worker", "--drain")
    assert farm.rows(READ) == []
    suspended.send_signal(signal.SIGCONT)
    farm.wait_for(READ)
    suspended.send_signal(signal.SIGTERM)
    assert suspended.wait(PATIENCE) == 0, suspended.communicate()[0]
    assert farm.rows(READ) == []


def test_a_worker_that_only_polls_does_not_answer_a_status_request(farm: Farm) -> None:
    worker = start_worker(farm, "--listen-database", "none")
    farm.command("enqueue", farm.write("one.nix", '{ one = floating "one" "echo > $out" { }; }'))
    farm.wait_for("select 1 from Builds where finished = 1")
    assert asked(farm.conninfo, SILENCE) == ({"status": "up", "runner": "hydra-resolver"}, False)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(PATIENCE) == 0, worker.communicate()[0]


def test_the_rights_of_a_worker_suffice_to_dump_the_status(cluster: EmbeddedPostgres, database: str) -> None:
    running_build(database)
    with role_of(cluster) as role:
        grant(database, role, "worker")
        execute(cluster.conninfo(name_of(database), user=role), "select resolver.dump_status()")
    assert rows(database, "select status ->> 'nrActiveSteps' from SystemStatus") == [("1",)]


@pytest.mark.parametrize("runner", ["hydra-resolver", "another"])
def test_uninstalling_removes_only_our_own_status_row(database: str, runner: str) -> None:
    execute(
        database,
        "select resolver.register_worker('w', '{build}', '{any}', '{}', '/nix/store', 'tests')",
        "select resolver.dump_status()",
        f"update SystemStatus set status = jsonb_set(status::jsonb, '{{runner}}', '\"{runner}\"')",
        "update resolver.worker set heartbeat = heartbeat - interval '61 seconds'",
    )
    uninstall(database)
    assert rows(database, "select what from SystemStatus") == (
        [] if runner == "hydra-resolver" else [("queue-runner",)]
    )


def test_a_hydra_without_the_status_table_is_supported(hydra: str) -> None:
    execute(hydra, "drop table SystemStatus")
    install(hydra)
    running_build(hydra)
    execute(hydra, "select resolver.dump_status()", "select resolver.deregister_worker(1)")
    uninstall(hydra)
