"""Claims end with their workers, and in time: real processes die, hang, or lose their database."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hydra_resolver.nix.store_path import StoreDir

from ..support.farm import open_farm
from ..support.proxy import Moment, Proxy
from ..support.waiting import PATIENCE, wait_until
from ..worker.test_workers import SLOW, set_lease_time, start_command, start_worker

MANY = """let
  plain = name: script: needs: derivation {
    inherit name needs;
    system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" script ]; PATH = "/bin:/usr/bin";
  };
  numbers = builtins.genList toString;
  quick = map (n: plain "quick-${n}" "echo > $out" "") (numbers 24);
  long = n: { name = "long-${n}"; value = plain "long-${n}" "echo $$ >> @begun@; sleep 60" quick; };
in builtins.listToAttrs (map long (numbers 8))
"""


def stop_worker(worker: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """Stop a worker; return its events."""
    worker.send_signal(signal.SIGTERM)
    said = worker.communicate(timeout=PATIENCE)[0]
    assert worker.returncode == 0, said
    return [json.loads(line) for line in said.splitlines()]


def children_of(task: Path) -> list[str]:
    """Return the processes that a thread has started."""
    return (task / "children").read_text().split()


def test_claims_of_a_dead_worker_come_back_within_the_lease_time_and_a_tick(tmp_path: Path) -> None:
    with open_farm(tmp_path) as farm:
        set_lease_time(farm, "2s")
        farm.command("enqueue", farm.write("slow.nix", SLOW))
        killed = start_worker(farm)
        farm.wait_for("select 1 from BuildSteps where busy <> 0")
        heir = start_worker(farm)
        farm.wait_for("select 1 from resolver.worker having count(*) = 2")
        (file,) = (farm.state / "workers").glob(f"{killed.pid}-*")
        file.unlink()  # as if the worker were on another machine
        killed.kill()
        killed.wait()
        farm.wait_for("select 1 from Builds having min(finished) = 1")
        (swept,) = farm.rows(
            "select l.closed_at - w.heartbeat < interval '2 s' + interval '1 s' + interval '10 s' as in_time,"
            " l.closed_at - w.heartbeat > interval '2 s' as not_early"
            " from resolver.lease l join resolver.worker w on w.worker = l.worker where l.outcome = 'swept'"
        )
        assert swept == {"in_time": True, "not_early": True}
        # The heir's own claim outlived the lease time, and was not swept.
        assert [step[:2] for step in farm.steps(1)] == [(0, 0), (0, 13), (0, 0)]
        stop_worker(heir)
        assert farm.violations() == []


def test_a_build_that_nix_had_finished_when_its_worker_died_is_recorded_without_a_second_build(tmp_path: Path) -> None:
    with open_farm(tmp_path) as farm:
        set_lease_time(farm, "2s")
        ran = tmp_path / "ran"
        farm.command(
            "enqueue", farm.write("once.nix", f'{{ once = floating "once" "echo >> {ran}; echo > $out" {{ }}; }}')
        )
        killed = start_worker(farm, point="after BUILD_PATHS_WITH_RESULTS in build-slot")
        assert killed.wait(PATIENCE) == -signal.SIGKILL
        assert farm.rows("select busy from BuildSteps") == [{"busy": 30}]
        farm.command("worker", "--drain")
        assert farm.rows("select count(*) from resolver.lease where outcome = 'swept'") == [{"count": 1}]
        assert farm.rows(
            "select stepnr, type, busy, status, errorMsg, machine, stopTime >= startTime as in_order, propagatedFrom,"
            " (select path from BuildStepOutputs o where o.build = s.build and o.stepnr = s.stepnr) ="
            " (select path from BuildOutputs) as has_output from BuildSteps s"
        ) == [
            {
                "stepnr": 1,
                "type": 0,
                "busy": 0,
                "status": 0,
                "errormsg": None,
                "machine": "localhost",
                "in_order": True,
                "propagatedfrom": None,
                "has_output": True,
            }
        ]
        assert farm.rows("select buildStatus, isCachedBuild, stopTime >= startTime as in_order from Builds") == [
            {"buildstatus": 0, "iscachedbuild": 0, "in_order": True}
        ]
        assert ran.read_text() == "\n"
        assert farm.violations() == []


def test_a_claim_beyond_its_deadline_is_taken_over_even_if_its_worker_lives(tmp_path: Path) -> None:
    with open_farm(tmp_path) as farm:
        hanging = start_worker(farm, "--verb", "load")
        farm.command("enqueue", farm.write("first.nix", '{ first = floating "first" "echo > $out" { }; }'))
        farm.wait_for("select 1 from resolver.lease where verb = 'load' and outcome = 'done'")
        nix = [int(pid) for task in Path(f"/proc/{hanging.pid}/task").iterdir() for pid in children_of(task)]
        assert nix
        for pid in nix:
            os.kill(pid, signal.SIGSTOP)
        farm.command("enqueue", farm.write("second.nix", '{ second = floating "second" "echo 2 > $out" { }; }'))
        farm.wait_for("select 1 from resolver.lease where closed_at is null and verb = 'load'")
        with psycopg.connect(farm.conninfo, autocommit=True) as connection:
            connection.execute("update resolver.lease set deadline = now() where closed_at is null")
        farm.command("worker", "--drain")
        assert farm.rows("select buildStatus from Builds") == [{"buildstatus": 0}] * 2
        assert farm.rows("select 1 from resolver.worker where gone_at is null") == [{"?column?": 1}]
        for pid in nix:
            os.kill(pid, signal.SIGCONT)
        time.sleep(1)
        said = stop_worker(hanging)
        assert [event["outcome"] for event in said if event["event"] == "loaded"] == ["done", "lease_lost"]
        assert farm.violations() == []


def test_builds_that_wait_for_a_slot_do_not_begin_while_the_database_is_out_of_reach(tmp_path: Path) -> None:
    with open_farm(tmp_path) as farm:
        set_lease_time(farm, "8s")
        begun = tmp_path / "begun"
        farm.command("enqueue", farm.write("many.nix", MANY.replace("@begun@", str(begun))))
        proxy = Proxy(farm.conninfo)
        worker = start_worker(farm, "--jobs", "4", "--database", proxy.conninfo)
        farm.wait_for("select 1 from BuildSteps where busy <> 0 and drvPath like '%-long-%' having count(*) > 4")
        wait_until(lambda: begun.exists() and len(begun.read_text().split()) == 4)
        with proxy.black_hole():
            wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in begun.read_text().split()))
            over = "select 1 from resolver.worker where clock_timestamp() - heartbeat > interval '8 s'"
            assert farm.rows(over) == []
            farm.wait_for(over)
            assert len(begun.read_text().split()) == 4
            assert farm.rows("select resolver.sweep() > 4 as swept") == [{"swept": True}]
        stop_worker(worker)
        proxy.close()
        assert farm.violations() == []


def test_a_claim_that_was_made_after_its_connection_was_lost_comes_back(tmp_path: Path) -> None:
    with open_farm(tmp_path) as farm, psycopg.connect(farm.conninfo, autocommit=True) as gate:
        gate.execute("create sequence call")
        gate.execute(
            "create or replace function resolver.failpoint(p_point text) returns void language sql as $$ select"
            " case when p_point = 'claim_builds: there is something' then"
            " pg_advisory_xact_lock_shared(least(nextval('public.call'), 2)) end $$"
        )
        gate.execute("select pg_advisory_lock(1), pg_advisory_lock(2)")
        farm.command("enqueue", farm.write("one.nix", '{ one = floating "one" "echo > $out" { }; }'))
        proxy = Proxy(farm.conninfo)
        worker = start_worker(farm, "--database", proxy.conninfo)
        waiting = "select 1 from pg_stat_activity where wait_event = 'advisory' having count(*) = "
        farm.wait_for(waiting + "1")
        proxy.cut_all()
        farm.wait_for(waiting + "2")  # the worker has looked for lost claims, and claims again
        gate.execute("select pg_advisory_unlock(1)")
        farm.wait_for("select 1 from resolver.lease where verb = 'build'")
        gate.execute("select pg_advisory_unlock(2)")
        farm.wait_for("select 1 from Builds where buildStatus = 0", within=45)  # less than the lease time (a minute)
        stop_worker(worker)
        proxy.close()
        assert farm.steps(1) == [(0, 0, "one")]
        assert farm.violations() == []


def test_leftovers_of_a_killed_nix_in_the_store_do_not_disturb_a_build(tmp_path: Path) -> None:
    with open_farm(tmp_path) as farm:
        file = farm.write(
            "left.nix", 'floating "left" "echo > $out; mkdir $dev; echo $out > $dev/a" { outputs = [ "out" "dev" ]; }'
        )
        drv = Path(farm.nix("nix-instantiate", file)).name
        store_dir = StoreDir(str(farm.store.store_dir))
        for output in ("out", "dev"):
            path = farm.store.store_dir / (store_dir.unfinished_output_path(drv, output) + ".tmp")
            path.write_text("half of an output")
        farm.command("enqueue", file)
        farm.command("worker", "--drain")
        assert farm.rows("select buildStatus from Builds") == [{"buildstatus": 0}]
        assert farm.steps(1) == [(0, 0, "left")]
        assert not list(farm.store.store_dir.glob("*.tmp"))


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_worker_that_dies_while_it_looks_for_lost_claims_loses_no_claim(tmp_path: Path, moment: Moment) -> None:
    with open_farm(tmp_path) as farm:
        set_lease_time(farm, "2s")
        proxy = Proxy(farm.conninfo)
        cut = proxy.cut("claim_derivations", "after")
        farm.command("enqueue", farm.write("one.nix", '{ one = floating "one" "echo > $out" { }; }'))
        words = ["--verb", "load", "--database", proxy.conninfo]
        worker = start_worker(farm, *words, point=f"{moment} release_other_claims in load")
        assert worker.wait(PATIENCE) == -signal.SIGKILL
        assert cut.happened.is_set()
        farm.command("worker", "--drain")
        assert farm.steps(1) == [(0, 0, "one")]
        assert farm.violations() == []
        proxy.close()


@pytest.mark.parametrize("point", ["after enqueue", "before all_finished", "before build_report"])
def test_any_worker_builds_the_jobs_that_a_killed_run_has_enqueued(tmp_path: Path, point: str) -> None:
    with open_farm(tmp_path) as farm:
        set_lease_time(farm, "2s")
        one = farm.write("one.nix", '{ one = floating "one" "echo > $out" { }; }')
        killed = start_command(farm, "run", str(one), point=f"{point} in MainThread")
        assert killed.wait(PATIENCE) == -signal.SIGKILL
        farm.command("worker", "--drain")
        assert farm.rows("select buildStatus from Builds") == [{"buildstatus": 0}]
        assert farm.steps(1) == [(0, 0, "one")]
        assert farm.violations() == []
