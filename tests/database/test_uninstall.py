"""Uninstalling the schema: not while workers live, and completely."""

from __future__ import annotations

import pytest

from hydra_resolver.database.errors import DependedOnError, NotInstalledError, UnrecordedError, WorkersLiveError
from hydra_resolver.database.install import check, install
from hydra_resolver.database.privileges import grant
from hydra_resolver.database.uninstall import uninstall
from hydra_resolver.embedded.postgres import EmbeddedPostgres

from ..support.databases import execute, force_upgrade, open_transaction, role_of, rows, running_build

CATALOGS = (
    "select 'relation', oid::text, relname, relkind::text, relacl::text, relhastriggers::text, relhasrules::text"
    " from pg_class where relkind <> 't' and relnamespace <> 'pg_toast'::regnamespace",
    "select 'function', oid::text, proname, proacl::text from pg_proc",
    "select 'type', oid::text, typname from pg_type where typname !~ '^_?pg_toast'",
    "select 'schema', oid::text, nspname, nspacl::text from pg_namespace where nspname !~ '^pg_(toast_)?temp'",
    "select 'default', defaclrole::text, defaclnamespace::text, defaclacl::text from pg_default_acl",
    "select 'dependency', classid::text, objid::text, refclassid::text, refobjid::text, deptype::text from pg_depend",
    "select 'owner', classid::text, objid::text, refobjid::text, deptype::text from pg_shdepend"
    " where dbid = (select oid from pg_database where datname = current_database())",
    "select 'trigger', oid::text, tgname from pg_trigger",
    "select 'constraint', oid::text, conname from pg_constraint",
    "select 'rule', oid::text, rulename from pg_rewrite",
    "select 'comment', objoid::text, objsubid::text, description from pg_description",
    "select 'database', oid::text, datacl::text from pg_database where datname = current_database()",
)


def catalog(database: str) -> set[tuple[object, ...]]:
    """Return everything that the catalogs contain about objects, owners and rights."""
    return {row for query in CATALOGS for row in rows(database, query)}


def test_uninstalling_leaves_no_trace(cluster: EmbeddedPostgres, hydra: str) -> None:
    with role_of(cluster) as worker, role_of(cluster, "watcher") as monitor:
        before = catalog(hydra)
        contents = rows(hydra, "select * from Builds")
        install(hydra)
        grant(hydra, worker, "worker")
        grant(hydra, monitor, "monitor")
        execute(
            hydra,
            f"grant select on resolver.derivation to {monitor}",
            f"alter default privileges in schema resolver grant select on tables to {monitor}",
            "select resolver.keep_history(true)",
        )
        assert catalog(hydra) != before
        uninstall(hydra)
        assert catalog(hydra) - before == set()
        assert before - catalog(hydra) == set()
        assert rows(hydra, "select * from Builds") == contents
        install(hydra)


def test_uninstalling_is_refused_while_a_worker_lives(database: str) -> None:
    build = running_build(database)
    with pytest.raises(WorkersLiveError, match=r"'tests' \(last seen 0 s ago\).* count as dead in 60 s"):
        uninstall(database)
    check(database)
    execute(database, "select resolver.deregister_worker(1)")
    uninstall(database)
    assert rows(database, f"select busy, status from BuildSteps where build = {build}") == [(0, 3)]


def test_uninstalling_ends_the_steps_of_a_killed_worker(database: str) -> None:
    build = running_build(database)
    execute(database, "update resolver.worker set heartbeat = heartbeat - interval '61 seconds'")
    uninstall(database)
    assert rows(database, f"select busy, status, errorMsg from BuildSteps where build = {build}") == [
        (0, 3, "hydra-resolver was removed")
    ]
    assert rows(database, f"select finished from Builds where id = {build}") == [(0,)]


def test_uninstalling_does_not_wait_for_a_locked_row_and_loses_no_end_of_a_build(database: str) -> None:
    build = running_build(database)
    execute(database, "update resolver.worker set heartbeat = heartbeat - interval '61 seconds'")
    with open_transaction(database, f"update BuildSteps set errorMsg = 'held' where build = {build}"):
        with pytest.raises(UnrecordedError, match="1 builds or steps have ended"):
            uninstall(database)
        assert rows(database, f"select busy from BuildSteps where build = {build}") == [(30,)]
    uninstall(database)


def test_uninstalling_twice_is_refused(database: str) -> None:
    uninstall(database)
    with pytest.raises(NotInstalledError, match="there is nothing to remove"):
        uninstall(database)


def test_objects_of_other_users_that_depend_on_the_schema_are_not_dropped(database: str) -> None:
    execute(database, "create view public.mine as select build from resolver.resolved_step")
    for change in (uninstall, install):
        force_upgrade(database) if change is install else None
        with pytest.raises(DependedOnError, match=r"view public\.mine depends on view resolver\.resolved_step"):
            change(database)
    assert rows(database, "select * from public.mine") == []
    execute(database, "drop view public.mine")
    install(database)
    execute(database, "create table public.theirs (derivation bigint references resolver.derivation)")
    with pytest.raises(DependedOnError, match=r"table public\.theirs"):
        uninstall(database)
    check(database)
