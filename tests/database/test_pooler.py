"""Behind a transaction pooler everything works except LISTEN: workers listen at another address, or poll."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from hydra_resolver.database.diagnosis import diagnose
from hydra_resolver.database.install import install
from hydra_resolver.database.privileges import grant, revoke
from hydra_resolver.database.procedures import Procedures
from hydra_resolver.database.uninstall import uninstall

from ..support.databases import claim_build, enqueue, execute, finish, force_upgrade, rows
from ..support.failing import Running, assert_sound, running
from ..support.farm import Farm, open_farm
from ..support.pooler import POOL_SIZE, Pooler, pooler_for
from ..support.waiting import wait_for

CHAIN = """rec {
  first = floating "first" "echo first > $out" { };
  second = floating "second" "read x < $first; echo $x > $out" { inherit first; };
}"""


@pytest.fixture
def pooler(database: str) -> Iterator[Pooler]:
    with pooler_for(database) as running_pooler:
        yield running_pooler


# Calls


def test_many_callers_of_procedures_share_few_connections(database: str, pooler: Pooler) -> None:
    procedures = [Procedures(pooler.conninfo(database), connections=2) for _ in range(4)]
    try:
        workers = [one.register_worker(name="w", verbs=["load"], systems=[], features=[], store_directory="/nix/store",
                                       store_identity="tests") for one in procedures]  # fmt: skip

        def call(number: int) -> None:
            one = procedures[number % len(procedures)]
            one.claim(workers[number % len(procedures)], "load", 10)
            one.sync_builds(all_builds=False)
            one.sweep()
            one.status()

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(call, range(200)))
    finally:
        for one in procedures:
            one.close()
    assert rows(database, "select count(*) from pg_stat_activity where datname = current_database()") <= [
        (POOL_SIZE + 1,)
    ]


def test_a_session_leaves_nothing_to_the_next_session(database: str, pooler: Pooler) -> None:
    pooled = pooler.conninfo(database)
    uninstall(pooled)
    install(pooled)
    force_upgrade(pooled)
    install(pooled)
    grant(pooled, "pg_monitor", "monitor")
    revoke(pooled, "pg_monitor")
    procedures = Procedures(pooled)
    try:
        enqueue(procedures)
        finish(procedures, claim_build(procedures))
        for _ in range(20):
            procedures.status()
    finally:
        procedures.close()
    assert rows(database, "select finished, buildStatus from Builds") == [(1, 0)]
    settings = ("search_path", "lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout", "role")
    with ThreadPoolExecutor(POOL_SIZE) as threads:  # all connections to the server at the same time, one thread each
        query = (
            f"select pg_sleep(0.3), (select count(*) from pg_prepared_statements), {', '.join(map(_current, settings))}"
        )
        found = list(threads.map(lambda _: rows(pooled, query), range(POOL_SIZE)))
    assert {row[1:] for (row,) in found} == {(0, '"$user", public', "0", "0", "0", "none")}


def _current(setting: str) -> str:
    return f"current_setting('{setting}')"


def test_the_check_reports_a_pooler_and_accepts_a_direct_address_to_listen_at(database: str, pooler: Pooler) -> None:
    pooled = pooler.conninfo(database)
    found = diagnose(pooled, pooled)
    assert [finding.topic for finding in found.findings] == ["pooler"]
    assert "notifications do not arrive, as through a pooler in transaction mode" in found.findings[0].message
    assert not found.ready
    assert diagnose(pooled, database).findings == []
    assert diagnose(pooled, None).findings == []
    (finding,) = diagnose(pooled, pooler.console(database)).findings
    assert "workers can't listen: " in finding.message


# Workers


@contextmanager
def pooled_farm(state: Path, *users: str) -> Iterator[tuple[Farm, Pooler]]:
    with open_farm(state) as farm, pooler_for(farm.conninfo, *users) as pooler:
        yield farm, pooler


def builds_all(farm: Farm, *words: str | Path, database: str) -> str:
    """Let a worker build two derivations, one after the other, and stop it; return its output."""
    with running(farm, "worker", "--database", database, *words) as worker:
        farm.command("enqueue", farm.write("chain.nix", CHAIN))
        all_finished = "select where not exists (select from Builds where finished = 0)"
        wait_for(farm.conninfo, all_finished, unless=lambda: _ended(worker))
        worker.process.terminate()
        assert worker.ends() == 0
        output = worker.output()
    assert farm.rows("select buildStatus from Builds") == [{"buildstatus": 0}] * 2, output
    assert_sound(farm)
    assert farm.rows("select from resolver.worker where gone_at is null") == []
    return output


def _ended(worker: Running) -> bool:
    return worker.process.poll() is not None


def test_a_worker_can_listen_at_a_separate_address(tmp_path: Path) -> None:
    with pooled_farm(tmp_path) as (farm, pooler):
        pooled = pooler.conninfo(farm.conninfo)
        with running(farm, "worker", "--database", pooled, "--listen-database", farm.conninfo) as worker:
            farm.wait_for("select from pg_stat_activity where query ~ '^listen'")
            began = time.monotonic()
            farm.command("enqueue", "--database", farm.conninfo, farm.write("chain.nix", CHAIN))
            farm.wait_for("select from Builds where finished = 1 having count(*) = 2")
            assert time.monotonic() - began < 15
            worker.process.terminate()
            assert worker.ends() == 0
            assert "by polling" not in worker.output()
        assert_sound(farm)


def test_a_worker_without_an_address_to_listen_at_polls(tmp_path: Path) -> None:
    with pooled_farm(tmp_path) as (farm, pooler):
        output = builds_all(farm, "--listen-database", "none", database=pooler.conninfo(farm.conninfo))
        assert "by polling" not in output, "a worker that is configured to poll need not say so"
        assert farm.rows("select from pg_stat_activity where query ~ '^listen'") == []


def test_a_worker_that_may_not_listen_says_so_once_and_polls(tmp_path: Path) -> None:
    with pooled_farm(tmp_path) as (farm, pooler):
        database = pooler.conninfo(farm.conninfo)
        output = builds_all(farm, "--listen-database", pooler.console(farm.conninfo), database=database)
        assert output.count("listen: the worker polls, without notifications: ") == 1


def test_a_worker_whose_listening_address_is_unreachable_says_so_once_and_polls(tmp_path: Path) -> None:
    with pooled_farm(tmp_path) as (farm, pooler):
        database = pooler.conninfo(farm.conninfo)
        output = builds_all(farm, "--listen-database", "postgresql:///x?host=/nowhere", database=database)
        assert output.count("listen: the worker polls, without notifications: ") == 1


def test_a_worker_that_unknowingly_listens_at_a_pooler_still_works(tmp_path: Path) -> None:
    with pooled_farm(tmp_path) as (farm, pooler):
        builds_all(farm, database=pooler.conninfo(farm.conninfo))


def test_a_worker_can_run_as_a_role_without_access_to_tables(tmp_path: Path) -> None:
    with pooled_farm(tmp_path, "ci") as (farm, pooler):
        superuser = make_conninfo(farm.conninfo, user="postgres")
        execute(superuser, "create role ci login")
        grant(farm.conninfo, "ci", "worker")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            rows(make_conninfo(farm.conninfo, user="ci"), "select from Builds")
        direct = make_conninfo(farm.conninfo, user="ci")
        output = builds_all(
            farm, "--listen-database", direct, database=make_conninfo(pooler.conninfo(direct), user="ci")
        )
        assert "error" not in output.lower()
        assert diagnose(direct, direct).findings == []
        farm.command("status", "--database", direct)
        farm.command("restart", "--database", direct, "1")
        farm.command("enqueue", "--database", direct, farm.state / "chain.nix")
