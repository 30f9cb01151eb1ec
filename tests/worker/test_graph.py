"""A real graph of a thousand derivations through the database."""

from __future__ import annotations

import psycopg
import pytest

from hydra_resolver.database.procedures import Procedures

from ..nix.graphs import load_graph
from ..support.driving import Driver


def test_a_real_graph_is_resolved_and_built_completely(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    graph = load_graph("core-medium")
    procedures = Procedures(database, connections=1)
    try:
        driver = Driver(procedures, graph)
        builds = driver.enqueue()
        driver.drive()
    finally:
        procedures.close()
    with psycopg.connect(database) as connection:
        finished = connection.execute(
            "select id from Builds where finished = 1 and buildStatus = 0 order by id"
        ).fetchall()
        assert [row[0] for row in finished] == builds
        resolutions = connection.execute(
            "select o.drv, r.drv from resolver.resolution x join resolver.derivation o on o.derivation = x.derivation "
            "join resolver.derivation r on r.derivation = x.resolved"
        ).fetchall()
        assert dict(resolutions) == graph.resolutions
        assert connection.execute("select * from resolver.invariant_violations()").fetchall() == []
        twice = "select drvPath from BuildSteps where type = 0 and status = 0 group by drvPath having count(*) > 1"
        assert connection.execute(twice).fetchall() == []
    with capsys.disabled():
        print(f"\nlongest hold of the graph lock, at most: {driver.longest()}")
