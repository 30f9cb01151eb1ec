"""Beside Hydra's other programs, played by what they do in SQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

ISOLATION_FARM = Path(__file__).resolve().parent.parent / "sql_tests" / "isolation" / "farm.sql"
DEPENDENTS = 1500


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    """The database, with what the isolation specs have for graphs of names; it listens as hydra-notify does."""
    with psycopg.connect(database, autocommit=True) as opened:
        opened.execute(ISOLATION_FARM.read_bytes())
        opened.execute("listen build_finished")
        yield opened


def tick(connection: psycopg.Connection) -> None:
    """What a worker does once a second, until nothing is left of it."""
    for procedure in ("sync_builds", "advance"):
        while connection.execute(f"select resolver.{procedure}()").fetchone() == (True,):
            pass
    connection.execute("select resolver.end_builds()")


def heard(connection: psycopg.Connection) -> list[list[int]]:
    """The builds in each notification; none is too long for Hydra's programs."""
    payloads = [notification.payload for notification in connection.notifies(timeout=0)]
    assert all(len(payload) < 7000 for payload in payloads)
    return [[int(build) for build in payload.split("\t")] for payload in payloads]


def ids(connection: psycopg.Connection, job: str) -> list[int]:
    """The builds of jobs with such a name."""
    return [build for (build,) in connection.execute("select id from Builds where job like %s order by id", [job])]


def test_a_failure_with_many_dependent_builds_is_told_in_parts_that_begin_with_the_build_that_ran_it(
    connection: psycopg.Connection,
) -> None:
    connection.execute("alter sequence builds_id_seq restart with 100000000")
    # The build that runs it does not have the lowest number.
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


def test_builds_that_a_known_failure_ends_are_told_of_one_by_one(connection: psycopg.Connection) -> None:
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
