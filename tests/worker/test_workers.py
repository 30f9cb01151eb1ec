"""Several workers on one database: they share the work, and take over from each other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest

from hydra_resolver import failpoints
from hydra_resolver.build_log import log_path
from hydra_resolver.cli.target import Options, open_store
from hydra_resolver.cli.work import running_worker
from hydra_resolver.loop import worker as worker_module

from ..cli.test_run import DEMO, STATUSES
from ..support.farm import Farm, open_farm
from ..support.waiting import PATIENCE

SLOW = """
let
  leaf = floating "leaf" "sleep 3; echo leaf > $out" { };
in { root = floating "root" "read x < ${leaf}; sleep 1; echo $x > $out" { }; }
"""


POLICY = """
{ job = floating "policy" "read -r words < /proc/self/stat; set -- $words; echo \\${41} > $out" { }; }
"""


def start_worker(farm: Farm, *words: str, point: str = "") -> subprocess.Popen[str]:
    """Start a worker with its events on stdout; it may be killed at a point."""
    return start_command(farm, "worker", "--json", *words, point=point)


def start_command(farm: Farm, verb: str, *words: str, point: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "hydra_resolver", verb, "--state", farm.state, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, failpoints.VARIABLE: point},
    )


def payloads(ears: psycopg.Connection) -> list[str]:
    """Return the payloads of a notification, for which the test waits, and of others that come soon after."""
    heard = [*ears.notifies(timeout=PATIENCE, stop_after=1), *ears.notifies(timeout=1)]
    return [notification.payload for notification in heard]


def set_lease_time(farm: Farm, text: str) -> None:
    with psycopg.connect(farm.conninfo, autocommit=True) as connection:
        connection.execute("update resolver.setting set lease_time = %s", [text])


def test_three_workers_build_a_jobset_once(tmp_path: Path) -> None:
    with open_farm(tmp_path) as farm:
        farm.command("enqueue", DEMO)
        workers = [start_worker(farm, "--drain", "--jobs", "2") for _ in range(3)]
        for worker in workers:
            assert worker.wait(PATIENCE) == 0, worker.communicate()[0]
        found = farm.rows("select job, buildStatus from Builds")
        assert {row["job"]: row["buildstatus"] for row in found} == {
            row["job"]: STATUSES.get(row["job"], 0) for row in found
        }
        assert farm.rows("select count from NrBuilds where what = 'finished'") == [{"count": len(found)}]
        assert farm.built_by_nix() == farm.built_by_rows()
        assert farm.rows("select build, drvPath, status from BuildSteps group by 1, 2, 3 having count(*) > 1") == []
        assert farm.violations() == []


def test_another_worker_takes_over_the_step_of_a_killed_worker(tmp_path: Path) -> None:
    with open_farm(tmp_path) as farm:
        set_lease_time(farm, "2s")
        farm.command("enqueue", farm.write("slow.nix", SLOW))
        killed = start_worker(farm)
        farm.wait_for("select 1 from BuildSteps where busy <> 0")
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        heir = start_worker(farm, "--drain")
        assert heir.wait(PATIENCE) == 0, heir.communicate()[0]
        assert farm.rows("select buildStatus, isCachedBuild from Builds") == [{"buildstatus": 0, "iscachedbuild": 0}]
        assert [step[:2] for step in farm.steps(1)] == [(0, 0), (0, 13), (0, 0)]
        assert farm.rows("select outcome from resolver.lease where outcome = 'swept'") == [{"outcome": "swept"}]
        assert farm.violations() == []


def test_a_stopped_worker_leaves_nothing_busy(tmp_path: Path) -> None:
    with open_farm(tmp_path) as farm:
        farm.command("enqueue", farm.write("slow.nix", SLOW))
        stopped = start_worker(farm)
        farm.wait_for("select 1 from BuildSteps where busy <> 0")
        stopped.send_signal(signal.SIGTERM)
        assert stopped.wait(PATIENCE) == 0, stopped.communicate()[0]
        assert farm.rows("select busy, status from BuildSteps") == [{"busy": 0, "status": 3}]
        assert farm.rows("select 1 from resolver.lease where closed_at is null") == []
        assert farm.violations() == []
        farm.command("worker", "--drain")
        assert farm.rows("select buildStatus from Builds") == [{"buildstatus": 0}]
        assert [step[:2] for step in farm.steps(1)] == [(0, 0), (0, 13), (0, 0)]


def test_a_suspended_worker_is_fenced_off(tmp_path: Path) -> None:
    with open_farm(tmp_path) as farm:
        set_lease_time(farm, "2s")
        farm.command("enqueue", farm.write("slow.nix", SLOW))
        suspended = start_worker(farm)
        farm.wait_for("select 1 from BuildSteps where busy <> 0")
        suspended.send_signal(signal.SIGSTOP)
        farm.command("worker", "--drain")
        os.kill(suspended.pid, signal.SIGCONT)
        time.sleep(3)
        suspended.send_signal(signal.SIGTERM)
        assert suspended.wait(PATIENCE) == 0, suspended.communicate()[0]
        assert farm.rows("select buildStatus from Builds") == [{"buildstatus": 0}]
        assert [step[:2] for step in farm.steps(1)] == [(0, 0), (0, 13), (0, 0)]
        assert farm.violations() == []


def test_a_cancelled_build_stops_its_step(tmp_path: Path) -> None:
    with open_farm(tmp_path) as farm, psycopg.connect(farm.conninfo, autocommit=True) as ears:
        ears.execute("listen step_finished")
        set_lease_time(farm, "2s")
        farm.command("enqueue", farm.write("long.nix", '{ long = floating "long" "sleep 60; echo > $out" { }; }'))
        worker = start_worker(farm)
        farm.wait_for("select 1 from BuildSteps where busy <> 0")
        farm.command("cancel", "1")
        farm.wait_for("select 1 from BuildSteps where busy = 0")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(PATIENCE) == 0, worker.communicate()[0]
        assert farm.rows("select finished, buildStatus from Builds") == [{"finished": 1, "buildstatus": 4}]
        (step,) = farm.rows("select drvPath, status, machine, stopTime from BuildSteps")
        assert (step["status"], step["machine"], step["stoptime"] is not None) == (4, "localhost", True)
        log = log_path(farm.state / "build-logs", Path(step["drvpath"]).name)
        assert payloads(ears) == [f"1\t1\t{log}"]
        assert farm.violations() == []


def test_a_step_whose_nix_was_killed_names_its_machine_and_its_log(tmp_path: Path) -> None:
    with open_farm(tmp_path) as farm, psycopg.connect(farm.conninfo, autocommit=True) as ears:
        ears.execute("listen step_finished")
        ears.execute("update resolver.setting set max_tries = 1")
        script = "echo begun; sleep 1; kill -9 $PPID; sleep 60"
        file = farm.write("killer.nix", f'{{ killer = floating "killer" "{script}" {{ }}; }}')
        farm.command("enqueue", file)
        farm.command("worker", "--drain")
        assert farm.rows("select buildStatus from Builds") == [{"buildstatus": 3}]
        (step,) = farm.rows("select drvPath, status, machine from BuildSteps")
        assert (step["status"], step["machine"]) == (3, "localhost")
        log = log_path(farm.state / "build-logs", Path(step["drvpath"]).name)
        assert payloads(ears) == [f"1\t1\t{log}"]
        assert log.read_text() == "begun\n"


def test_a_worker_goes_on_after_a_restart_of_the_database(tmp_path: Path) -> None:
    with open_farm(tmp_path) as farm:
        farm.command("enqueue", farm.write("slow.nix", SLOW))
        worker = start_worker(farm, "--drain")
        farm.wait_for("select 1 from BuildSteps where busy <> 0")
        with psycopg.connect(farm.conninfo, autocommit=True) as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where pid <> pg_backend_pid() and usename = current_user"
            )
        assert worker.wait(PATIENCE) == 0, worker.communicate()[0]
        assert farm.rows("select buildStatus from Builds") == [{"buildstatus": 0}]
        assert [step[:2] for step in farm.steps(1)] == [(0, 0), (0, 13), (0, 0)]
        assert farm.violations() == []


def test_builds_run_with_the_batch_policy_unless_the_user_chose_another(tmp_path: Path) -> None:
    def policy(farm: Farm, before: list[str]) -> int:
        file = farm.write("policy.nix", POLICY.replace("policy", f"policy-{len(before)}"))
        command = [*before, sys.executable, "-m", "hydra_resolver", "run", "--json", "--state", str(farm.state), file]
        build = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        return int(Path(build["outputs"]["out"]).read_text())

    with open_farm(tmp_path) as farm:
        assert policy(farm, []) == os.SCHED_BATCH
        assert policy(farm, ["chrt", "--idle", "0"]) == os.SCHED_IDLE


def test_an_interrupt_while_a_worker_starts_leaves_no_thread_and_no_registration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(worker_module, "StatusDumper", interrupted)
    before = set(threading.enumerate())
    with open_farm(tmp_path) as farm:
        options = Options(None, None, farm.state)
        with pytest.raises(KeyboardInterrupt), running_worker(options, farm.conninfo, open_store(options)):
            pass
        assert set(threading.enumerate()) == before
        assert farm.rows("select 1 from resolver.worker where gone_at is null") == []
