"""Removal of the schema `resolver`: Hydra's tables keep their rows, and nothing else remains."""

from __future__ import annotations

import psycopg

from .administration import administration, become_owner
from .errors import NotInstalledError, UnrecordedError, WorkersLiveError
from .install import drop_functions
from .installed import check_connected


def uninstall(conninfo: str) -> None:
    """Remove the schema, if no worker lives, in one transaction.

    Work of killed workers is ended first: their steps are aborted, and postponed ends of builds are written.

    Raises NotInstalledError, NotOwnerError, WorkersLiveError, UnrecordedError, DependedOnError, BusyError; other errors
    as `check` does.
    """
    with administration(conninfo) as connection:
        if connection.execute("select to_regnamespace('resolver')").fetchone() == (None,):
            raise NotInstalledError("the database has no schema 'resolver': there is nothing to remove.")
        check_connected(connection, for_writing=True)
        become_owner(connection)
        connection.execute("select resolver.lock_graph()")
        # From here on no worker can register. This lock comes after the graph lock, as in all other transactions.
        connection.execute("lock table resolver.worker in access exclusive mode")
        _refuse_living_workers(connection)
        _end_what_is_open(connection)
        drop_functions(connection)
        _drop_tables(connection)


def _refuse_living_workers(connection: psycopg.Connection) -> None:
    living = connection.execute(
        "select w.name, round(extract(epoch from resolver.clock() - w.heartbeat)),"
        " ceil(extract(epoch from w.heartbeat + resolver.lease_time() - resolver.clock()))"
        " from resolver.worker w where w.gone_at is null and w.heartbeat > resolver.clock() - resolver.lease_time()"
        " order by w.worker"
    ).fetchall()
    if living:
        named = ", ".join(f"'{name}' (last seen {silent} s ago)" for name, silent, _ in living)
        left = max(seconds for *_, seconds in living)
        raise WorkersLiveError(
            f"workers of this database live: {named}. Stop them; killed workers count as dead in {left} s."
        )


def _end_what_is_open(connection: psycopg.Connection) -> None:
    leases = [
        row[0] for row in connection.execute("select lease from resolver.lease where closed_at is null").fetchall()
    ]
    connection.execute(
        "select resolver.revoke_leases(%s::bigint[], 'swept', 'hydra-resolver was removed', false)", [leases]
    )
    connection.execute("select resolver.record_ends(2147483647)")
    connection.execute("select resolver.record_runner_end()")
    row = connection.execute(
        """
        select (select count(*) from resolver.goal g
                 where g.ended_at is not null and g.recorded_at is null
                   and exists (select from public.Builds b where b.id = g.build))
             + (select count(*) from resolver.lease l
                  join public.BuildSteps s on s.build = l.build and s.stepnr = l.stepnr and s.busy <> 0
                 where l.lease = any (%s))
        """,
        [leases],
    ).fetchone()
    if row and row[0]:
        raise UnrecordedError(row[0])


def _drop_tables(connection: psycopg.Connection) -> None:
    """Drop our tables, without CASCADE: objects that others have based on them are not ours to drop."""
    names = connection.execute(
        "select string_agg(c.oid::regclass::text, ', ') from pg_class c"
        " where c.relnamespace = 'resolver'::regnamespace and c.relkind = 'r'"
    ).fetchone()
    assert names
    connection.execute(f"drop table {names[0]}".encode())
    types = connection.execute(
        "select string_agg(t.oid::regtype::text, ', ') from pg_type t"
        " where t.typnamespace = 'resolver'::regnamespace and t.typtype in ('c', 'd', 'e')"
    ).fetchone()
    assert types
    if types[0] is not None:
        connection.execute(f"drop type {types[0]}".encode())
    connection.execute("drop schema resolver")
