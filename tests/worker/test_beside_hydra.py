"""Workers beside Hydra's other programs, which are simulated by their SQL statements."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ..support.farm import Farm, open_farm
from ..support.waiting import PATIENCE
from .test_workers import set_lease_time, start_worker

ISOLATION_FARM = Path(__file__).resolve().parents[2] / "sql_tests" / "isolation" / "farm.sql"
DEPENDENTS = 1500


# hydra-notify


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    """The database with the farm of the isolation specs, in a session that listens as hydra-notify does."""
    with psycopg.connect(database, autocommit=True) as opened:
        opened.execute(ISOLATION_FARM.read_bytes())
        opened.execute("listen build_finished")
        yield opened


def tick(connection: psycopg.Connection) -> None:
    """Do what a worker does once a second, until nothing is left to do."""
    for procedure in ("sync_builds", "advance"):
        while connection.execute(f"select resolver.{procedure}()").fetchone() == (True,):
            pass
    connection.execute("select resolver.end_builds()")


def heard(connection: psycopg.Connection) -> list[list[int]]:
    """Return the builds in each notification; no payload is too long for Hydra's programs."""
    payloads = [notification.payload for notification in connection.notifies(timeout=0)]
    assert all(len(payload) < 7000 for payload in payloads)
    return [[int(build) for build in payload.split("\t")] for payload in payloads]


def ids(connection: psycopg.Connection, job: str) -> list[int]:
    """Return the builds of jobs whose names match the pattern."""
    return [build for (build,) in connection.execute("select id from Builds where job like %s order by id", [job])]


def test_notifications_of_a_failure_with_many_dependents_are_split_and_begin_with_the_build_that_ran_it(
    connection: psycopg.Connection,
) -> None:
    connection.execute("alter sequence builds_id_seq restart with 100000000")
    # The build that runs the failing step does not have the lowest number.
    names = [f"user{number}" for number in range(DEPENDENTS)]
    jobs = [*names[:9], "bad", *names[9:]]
    graph = [name if name == "bad" else f"{name}<bad" for name in jobs]
    connection.execute("call t.farm(%s, %s)", [" ".join(graph), " ".join(jobs)])
    tick(connection)
    connection.execute("select resolver.fail_steps(t.failure('bad'))")
    tick(connection)

    parts = heard(connection)
    (bad,) = ids(connection, "bad")
    assert {part[0] for part in parts} == {bad}
    assert sorted(build for part in parts for build in part[1:]) == ids(connection, "user%")
    assert connection.execute(
        "select buildStatus, propagatedFrom, status, count(*)"
        "  from Builds b join BuildSteps s on s.build = b.id group by 1, 2, 3 order by 1"
    ).fetchall() == [(1, None, 1, 1), (2, bad, 1, DEPENDENTS)]
    assert connection.execute("select * from resolver.invariant_violations()").fetchall() == []


def test_builds_that_end_by_a_known_failure_are_notified_one_by_one(connection: psycopg.Connection) -> None:
    connection.execute("call t.farm('user<bad bad', 'bad')")
    connection.execute("select resolver.fail_steps(t.failure('bad'))")
    assert heard(connection) == [ids(connection, "bad")]
    connection.execute(
        "insert into Builds (finished, timestamp, jobset_id, job, drvPath, system)"
        "select 0, 1, jobset_id, 'again' || n, drvPath, system from Builds, generate_series(1, 2) n"
    )
    tick(connection)
    assert heard(connection) == [[build] for build in ids(connection, "again%")]
    rows = connection.execute(
        "select buildStatus, isCachedBuild, status, propagatedFrom"
        "  from Builds b join BuildSteps s on s.build = b.id where job like 'again%'"
    )
    assert rows.fetchall() == [(1, 1, 8, 1)] * 2


# An old runner, an evaluator, an administrator


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    with open_farm(tmp_path) as opened:
        yield opened


def test_the_first_worker_takes_over_the_steps_and_resolutions_of_an_old_queue_runner(farm: Farm) -> None:
    jobs = """
      let library = floating "library" "echo 1 > $out" { };
      in {
        alone = floating "alone" "echo > $out" { };
        tool = floating "tool" "cat $library > $out" { inherit library; };
      }"""
    farm.command("enqueue", farm.write("jobs.nix", jobs))
    drvs = {row["job"]: row["drvpath"] for row in farm.rows("select job, drvPath from Builds")}
    (library,) = (drv for drv in farm.nix("nix-store", "-qR", drvs["tool"]).split() if drv.endswith("-library.drv"))
    path = farm.nix("nix-store", "--realise", library)
    resolved = farm.command("resolve", drvs["tool"], "--write").stdout.strip()
    with psycopg.connect(farm.conninfo) as connection:
        connection.cursor().executemany(
            "insert into BuildSteps (build, stepnr, type, drvPath, busy, status, startTime, stopTime, resolvedDrvPath)"
            " select id, %s, 0, %s, %s, %s, 10, %s, %s from Builds where job = %s",
            [
                (1, drvs["alone"], 30, None, None, None, "alone"),
                (1, library, 0, 0, 20, None, "tool"),
                (2, drvs["tool"], 0, 13, 20, Path(resolved).name, "tool"),
                (3, resolved, 20, None, None, None, "tool"),
            ],
        )
        connection.execute(
            "insert into BuildStepOutputs select build, stepnr, 'out' from BuildSteps where status is null"
        )
        connection.execute(
            "insert into BuildStepOutputs select build, 1, 'out', %s from BuildSteps where status = 0", [path]
        )

    farm.command("worker", "--drain")
    assert farm.rows("select job, buildStatus, isCachedBuild from Builds order by job") == [
        {"job": job, "buildstatus": 0, "iscachedbuild": 0} for job in ("alone", "tool")
    ]
    assert farm.rows("select from BuildSteps where busy <> 0 or status is null or stopTime is null") == []
    assert farm.steps(1) == [(0, 3, "alone"), (0, 0, "alone")]
    # The worker goes on with the resolution, and the library keeps its row.
    assert farm.steps(2) == [(0, 0, "library"), (0, 13, "tool"), (0, 3, "tool"), (0, 0, "tool")]
    unknown = (
        "select from BuildStepOutputs o join BuildSteps s using (build, stepnr) where o.path is null and s.status <> 3"
    )
    assert farm.rows(unknown) == []
    assert farm.violations() == []


def test_a_transaction_that_holds_a_build_for_long_delays_that_build_only(farm: Farm) -> None:
    jobs = """
      rec {
        held = floating "held" "echo > $out" { };
        other = floating "other" "cat $held > $out" { inherit held; };
      }"""
    farm.command("enqueue", farm.write("jobs.nix", jobs))
    unfinished = "select job from Builds where finished = 0"
    with psycopg.connect(farm.conninfo) as evaluator:
        evaluator.execute("update Builds set isCurrent = 1 where job = 'held'")
        worker = start_worker(farm, "--drain")
        farm.wait_for("select 1 from Builds where job = 'other' and finished = 1 and buildStatus = 0")
        assert farm.rows(unfinished) == [{"job": "held"}]
        assert farm.rows("select from BuildSteps where busy <> 0") == []
    assert worker.wait(PATIENCE) == 0, worker.communicate()[0]
    assert farm.rows(unfinished) == []
    assert farm.rows("select isCurrent, buildStatus from Builds where job = 'held'") == [
        {"iscurrent": 1, "buildstatus": 0}
    ]
    assert farm.violations() == []


def test_a_build_that_is_deleted_while_it_runs_is_given_up_and_other_builds_do_not_wait(farm: Farm) -> None:
    set_lease_time(farm, "2s")
    jobs = """
      {
        deleted = floating "deleted" "sleep 100; echo > $out" { };
        other = floating "other" "sleep 1; echo > $out" { };
      }"""
    farm.command("enqueue", farm.write("jobs.nix", jobs))
    worker = start_worker(farm, "--drain", "--jobs", "2")
    farm.wait_for("select 1 from BuildSteps having count(*) filter (where busy <> 0) = 2")
    with psycopg.connect(farm.conninfo) as administrator:
        administrator.execute("delete from Builds where job = 'deleted'")
        # The deletion is not committed yet, as by a slow page.
        farm.wait_for("select 1 from Builds where job = 'other' and finished = 1 and buildStatus = 0")
    assert worker.wait(PATIENCE) == 0, worker.communicate()[0]
    assert [name for _, _, name in farm.steps(1) + farm.steps(2)] == ["other"]
    assert farm.rows("select count from NrBuilds where what = 'finished'") == [{"count": 1}]
    assert farm.violations() == []
