"""A real graph of a thousand derivations, twice: the second time with a changed derivation at the bottom."""

from __future__ import annotations

import psycopg

from hydra_resolver.database.procedures import Procedures

from ..nix.graphs import load_graph
from ..support.changing import ChangedDriver, change
from ..support.driving import Driver


def test_derivations_above_the_change_are_resolved_again_and_cut_off(database: str) -> None:
    graph = load_graph("core-medium")
    changed = change(graph)
    procedures = Procedures(database, connections=1)
    try:
        first = Driver(procedures, graph)
        first.enqueue()
        first.drive()
        second = ChangedDriver(procedures, graph, changed)
        builds = second.enqueue()
        second.drive()
    finally:
        procedures.close()
    expected = {
        new: changed.graph.resolutions[new] for new in changed.names.values() if new in changed.graph.resolutions
    }
    with psycopg.connect(database) as connection:
        rows = connection.execute(
            "select o.drv, r.drv, x.is_cut_off from resolver.resolution x "
            "join resolver.derivation o on o.derivation = x.derivation "
            "join resolver.derivation r on r.derivation = x.resolved where o.drv = any (%s)",
            [list(changed.names.values())],
        ).fetchall()
        resolved = {drv: resolved for drv, resolved, _ in rows}
        assert resolved.items() <= expected.items()
        known = set(graph.resolutions.values())
        assert {drv for drv, _, cut_off in rows if cut_off} == {drv for drv in resolved if resolved[drv] in known}
        assert second.hits == sum(cut_off for _, _, cut_off in rows)
        assert second.hits > len(rows) / 2
        ended = connection.execute("select buildStatus from Builds where id = any (%s)", [builds]).fetchall()
        assert set(ended) == {(0,)}
        assert connection.execute("select * from resolver.invariant_violations()").fetchall() == []
        twice = "select drvPath from BuildSteps where type = 0 and status = 0 group by drvPath having count(*) > 1"
        assert connection.execute(twice).fetchall() == []
        savings = connection.execute("select resolutions, cut_off from resolver.savings(p_eval => 2)").fetchall()
        assert savings == [(len(rows), second.hits)]
