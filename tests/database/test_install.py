"""Installing beside a live Hydra: it takes no lock that blocks Hydra, and reads none of its rows but the version."""

from __future__ import annotations

import pytest
from psycopg.conninfo import conninfo_to_dict

from hydra_resolver.database.administration import administration
from hydra_resolver.database.errors import BusyError, NotGrantedError, NotOwnerError
from hydra_resolver.database.install import check, install, install_in
from hydra_resolver.embedded.postgres import EmbeddedPostgres

from ..support.databases import execute, force_upgrade, name_of, open_transaction, role_of, rows


@pytest.mark.parametrize("upgrade", [False, True], ids=["first", "upgrade"])
def test_installing_takes_no_lock_on_hydras_tables_that_blocks_readers_or_writers(hydra: str, upgrade: bool) -> None:
    if upgrade:
        install(hydra)
        force_upgrade(hydra)
    with administration(hydra) as connection:
        assert install_in(connection).functions > 0
        held = rows(
            hydra,
            "select distinct l.mode, c.relname from pg_locks l join pg_class c on c.oid = l.relation"
            f" where l.pid = {connection.info.backend_pid} and l.locktype = 'relation' and l.database <> 0"
            " and c.relnamespace = 'public'::regnamespace",
        )
        assert ("AccessShareLock", "buildsteps") in held, "our views lock the tables that they read"
        assert {mode for mode, _ in held} == {"AccessShareLock"}
        execute(
            hydra,
            "set lock_timeout = '1s'",
            "insert into BuildSteps (build, stepnr, type, drvPath, busy) values (1, 1, 0, 'x', 1)",
            "update Builds set globalPriority = 1 where id = 1",
            "select count(*) from BuildSteps",
            "delete from BuildSteps where build = 1",
        )


@pytest.mark.parametrize("upgrade", [False, True], ids=["first", "upgrade"])
def test_installing_reads_no_row_of_hydras_tables_except_the_version(hydra: str, upgrade: bool) -> None:
    if upgrade:
        install(hydra)
        force_upgrade(hydra)
    with administration(hydra) as connection:
        install_in(connection)
        read = connection.execute(
            "select relname, seq_scan, coalesce(idx_scan, 0) from pg_stat_xact_user_tables where schemaname = 'public'"
            " and (seq_scan > 0 or idx_scan > 0 or n_tup_ins > 0 or n_tup_upd > 0 or n_tup_del > 0)"
        ).fetchall()
    assert read == [("schemaversion", 1, 0)]


@pytest.mark.parametrize(
    "other",
    [
        "update Builds set globalPriority = 7",
        "lock table Builds, BuildSteps in share row exclusive mode",
        "lock table Builds, BuildSteps, BuildOutputs in exclusive mode",
    ],
)
def test_installing_does_not_wait_for_an_evaluator_or_a_web_page(hydra: str, other: str) -> None:
    with open_transaction(hydra, other), administration(hydra, lock_seconds=2) as connection:
        install_in(connection)
    check(hydra)


def test_installing_gives_up_soon_instead_of_blocking_hydras_programs(hydra: str) -> None:
    with (
        open_transaction(hydra, "lock table BuildSteps in access exclusive mode"),
        pytest.raises(BusyError, match=r"for 1 s\. Nothing was changed"),
        administration(hydra, lock_seconds=1) as connection,
    ):
        install_in(connection)
    assert rows(hydra, "select to_regnamespace('resolver') is null") == [(True,)]


def test_installing_needs_only_the_rights_of_a_plain_owner(hydra: str) -> None:
    extensions = rows(hydra, "select extname from pg_extension order by 1")
    install(hydra)
    assert rows(
        hydra, "select rolsuper or rolcreaterole or rolcreatedb or rolreplication from pg_roles where rolname = user"
    ) == [(False,)]
    assert rows(hydra, "select extname from pg_extension order by 1") == extensions


def test_installing_under_any_search_path_binds_the_same_names(hydra: str) -> None:
    role = conninfo_to_dict(hydra)["user"]
    execute(
        hydra,
        "create schema other",
        "create function other.count(bigint) returns bigint language sql as 'select 7::bigint'",
        "create function other.cardinality(text[]) returns integer language sql as 'select 7'",
        "create function other.mine(text, text) returns boolean language sql as 'select true'",
        "create operator other.= (leftarg = text, rightarg = text, function = other.mine)",
        "create table other.builds (id integer)",
        "create table other.buildsteps (build integer)",
        f"alter role {role} in database {name_of(hydra)} set search_path = other, pg_catalog",
    )
    install(hydra)
    execute(hydra, "drop schema other cascade")
    assert rows(hydra, "select count(*) from pg_views where schemaname = 'resolver'") != [(0,)]
    assert rows(hydra, "select resolver.invariant_violations()") == []


def test_an_installation_by_a_superuser_belongs_to_the_owner_of_hydras_tables(
    cluster: EmbeddedPostgres, hydra: str
) -> None:
    superuser = cluster.superuser_conninfo(name_of(hydra))
    install(superuser)
    force_upgrade(hydra)
    install(superuser)
    owners = (
        "select nspowner::regrole::text from pg_namespace where nspname = 'resolver'"
        " union select proowner::regrole::text from pg_proc where pronamespace = 'resolver'::regnamespace"
        " union select relowner::regrole::text from pg_class where relnamespace = 'resolver'::regnamespace"
    )
    assert rows(hydra, owners) == [("hydra",)]


def test_a_role_without_the_rights_to_install_gets_a_clear_error(
    cluster: EmbeddedPostgres, hydra: str, database: str
) -> None:
    with role_of(cluster) as role:
        with pytest.raises(NotOwnerError, match="may not read Hydra's tables"):
            install(cluster.conninfo(name_of(hydra), role))
        execute(hydra, f"grant select on SchemaVersion to {role}")
        with pytest.raises(NotOwnerError, match="may not create a schema in the database"):
            install(cluster.conninfo(name_of(hydra), role))
        execute(cluster.superuser_conninfo(), f"grant create on database {name_of(hydra)} to {role}")
        with pytest.raises(NotOwnerError, match=r"lacks rights to Hydra's tables: .*INSERT on buildsteps"):
            install(cluster.conninfo(name_of(hydra), role))
        with pytest.raises(NotGrantedError, match=f"db grant {role} --as worker"):
            check(cluster.conninfo(name_of(database), role))
