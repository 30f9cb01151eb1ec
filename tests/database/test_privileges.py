"""Roles of workers and monitors: the rights of each, object by object, and attempts to exceed them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from hydra_resolver.database.diagnosis import diagnose
from hydra_resolver.database.errors import DatabaseError, NoSuchRoleError, NotGrantedError, NotInstalledError
from hydra_resolver.database.install import check, install
from hydra_resolver.database.privileges import OWNER_ONLY, grant, revoke
from hydra_resolver.embedded.postgres import EmbeddedPostgres

from ..support.databases import execute, force_upgrade, name_of, role_of, rows


class Roles(NamedTuple):
    """URLs of one database for each kind of role."""

    owner: str
    worker: str
    monitor: str
    curious: str
    """May use the schema, but has no rights to anything in it."""
    stranger: str


class Function(NamedTuple):
    """A function of the schema."""

    name: str
    arguments: list[str]
    api: bool
    writes: bool


@pytest.fixture(scope="module")
def names(cluster: EmbeddedPostgres) -> Iterator[list[str]]:
    with (
        role_of(cluster, "worker") as worker,
        role_of(cluster, "monitor") as monitor,
        role_of(cluster, "curious") as curious,
        role_of(cluster, "stranger") as stranger,
    ):
        yield [worker, monitor, curious, stranger]


@pytest.fixture
def roles(cluster: EmbeddedPostgres, names: list[str], database: str) -> Roles:
    worker, monitor, curious, _ = names
    grant(database, worker, "worker")
    grant(database, monitor, "monitor")
    execute(database, f"grant usage on schema resolver to {curious}")
    return Roles(database, *(cluster.conninfo(name_of(database), name) for name in names))


def functions(database: str) -> list[Function]:
    found = rows(
        database,
        "select oid::regproc::text, array(select t::regtype::text from unnest(proargtypes) t), prosecdef,"
        " provolatile = 'v' from pg_proc where pronamespace = 'resolver'::regnamespace order by oid",
    )
    assert len(found) > 80
    return [Function(*row) for row in found]  # type: ignore[arg-type]


def relations(database: str, kinds: str) -> list[str]:
    found = rows(
        database,
        "select oid::regclass::text from pg_class where relnamespace = 'resolver'::regnamespace"
        f" and relkind::text ~ '[{kinds}]' order by 1",
    )
    assert found
    return [str(name) for (name,) in found]


def refuses(connection: psycopg.Connection, statement: str) -> bool:
    """Whether the role lacks the right to execute a statement; the statement is undone in any case."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(statement.encode())
    except InsufficientPrivilege:
        return True
    except psycopg.Error:
        return False  # the role got further than it should, or the statement is merely wrong
    return False


def call(function: Function) -> str:
    return f"select {function.name}({', '.join(f'null::{kind}' for kind in function.arguments)})"


def table_statements(relation: str) -> list[str]:
    return [
        f"select from {relation}",
        f"select count(*) from {relation}",
        f"insert into {relation} default values",
        f"delete from {relation}",
        f"truncate {relation}",
        f"lock table {relation} in access share mode",
        f"create trigger mine before update on {relation}"
        " for each row execute function suppress_redundant_updates_trigger()",
        f"alter table {relation} owner to current_user",
        f"drop table {relation}",
    ]


# Rights of each role


@pytest.mark.parametrize("who", ["stranger", "curious", "worker", "monitor"])
def test_no_role_but_the_owner_touches_a_table(roles: Roles, who: str) -> None:
    with psycopg.connect(getattr(roles, who)) as connection:
        for relation in relations(roles.owner, "r"):
            for statement in table_statements(relation):
                assert refuses(connection, statement), statement
        for sequence in relations(roles.owner, "S"):
            assert refuses(connection, f"select nextval('{sequence}')"), sequence
            assert refuses(connection, f"select last_value from {sequence}"), sequence
        for statement in (
            "create table resolver.mine ()",
            "create view resolver.mine as select 1",
            "drop schema resolver",
        ):
            assert refuses(connection, statement), statement


@pytest.mark.parametrize("who", ["stranger", "curious", "worker", "monitor"])
def test_other_roles_get_no_access_to_hydras_tables(roles: Roles, who: str) -> None:
    with psycopg.connect(getattr(roles, who)) as connection:
        for relation in ("Builds", "BuildSteps", "BuildOutputs", "NrBuilds", "Users"):
            for statement in table_statements(relation)[:5]:
                assert refuses(connection, statement), statement


@pytest.mark.parametrize("who", ["stranger", "curious"])
def test_a_role_without_a_grant_can_call_nothing_and_read_no_view(roles: Roles, who: str) -> None:
    with psycopg.connect(getattr(roles, who)) as connection:
        for function in functions(roles.owner):
            assert refuses(connection, call(function)), function
        for view in relations(roles.owner, "v"):
            assert refuses(connection, f"select * from {view}"), view


def test_a_worker_can_call_the_procedures_but_no_helper(roles: Roles) -> None:
    with psycopg.connect(roles.worker) as connection:
        for function in functions(roles.owner):
            own = function.name.removeprefix("resolver.") in OWNER_ONLY
            assert refuses(connection, call(function)) is (own or not function.api), function
        for view in relations(roles.owner, "v"):
            assert refuses(connection, f"select * from {view}"), view


def test_a_monitor_can_read_everything_and_write_nothing(roles: Roles) -> None:
    with psycopg.connect(roles.monitor) as connection:
        for function in functions(roles.owner):
            assert refuses(connection, call(function)) is (function.writes or not function.api), function
        for view in relations(roles.owner, "v"):
            assert not refuses(connection, f"select * from {view}"), view
            held = connection.execute("select has_table_privilege(%s, 'insert, update, delete, truncate')", [view])
            assert held.fetchone() == (False,), view
    with psycopg.connect(roles.monitor) as connection:
        connection.read_only = True
        for function in functions(roles.owner):
            if function.api and not function.writes:
                connection.execute(call(function).encode())


def test_the_check_tells_each_role_whether_its_rights_suffice(roles: Roles) -> None:
    for url in (roles.worker, roles.monitor):
        check(url)
    assert diagnose(roles.worker, roles.worker).findings == []
    (finding,) = diagnose(roles.monitor, roles.monitor).findings
    assert not finding.grave
    assert re.search(r"the role 'monitor_\d+' can't run a worker", finding.message)
    for url in (roles.curious, roles.stranger):
        with pytest.raises(NotGrantedError, match=r"hydra-resolver db grant \w+ --as worker"):
            check(url)


# Granting


def test_a_worker_can_become_a_monitor_and_then_lose_all_rights(roles: Roles, names: list[str]) -> None:
    worker = names[0]
    grant(roles.owner, worker, "monitor")
    with psycopg.connect(roles.worker) as connection:
        assert not refuses(connection, "select resolver.status()")
        assert refuses(connection, "select resolver.sync_builds()")
    assert revoke(roles.owner, worker) is True
    assert revoke(roles.owner, worker) is False
    with psycopg.connect(roles.worker) as connection:
        assert refuses(connection, "select resolver.status()")
    acls = rows(
        roles.owner,
        "select proacl::text from pg_proc union select relacl::text from pg_class"
        " union select nspacl::text from pg_namespace",
    )
    assert not [acl for (acl,) in acls if acl and worker in str(acl)]


def test_granting_is_idempotent(roles: Roles, names: list[str]) -> None:
    before = rows(roles.owner, "select proname, proacl::text from pg_proc where proacl is not null")
    grant(roles.owner, names[0], "worker")
    assert (
        sorted(map(str, rows(roles.owner, "select proname, proacl::text from pg_proc where proacl is not null"))) != []
    )
    with psycopg.connect(roles.worker) as connection:
        assert not refuses(connection, "select resolver.sync_builds()")
    after = rows(roles.owner, "select proname, proacl::text from pg_proc where proacl is not null")
    assert len(after) == len(before)


def test_a_grant_to_an_unsuitable_role_is_refused(roles: Roles, hydra: str) -> None:
    with pytest.raises(NoSuchRoleError, match='create role "nobody at all" login'):
        grant(roles.owner, "nobody at all", "worker")
    with pytest.raises(NoSuchRoleError):
        grant(roles.owner, "public", "worker")
    with pytest.raises(DatabaseError, match="owns the schema"):
        grant(roles.owner, "hydra", "worker")
    with pytest.raises(DatabaseError, match="is a superuser"):
        revoke(roles.owner, "postgres")
    with pytest.raises(DatabaseError, match="belongs to the role 'hydra'"):
        grant(roles.worker, "pg_monitor", "worker")
    with pytest.raises(NotInstalledError):
        grant(hydra, "pg_monitor", "worker")


@pytest.mark.parametrize("name", ['a"b', "a'; drop schema resolver cascade; --", "Ä b", "select", "{}", "%s"])
def test_a_role_may_have_any_name(cluster: EmbeddedPostgres, database: str, name: str) -> None:
    with role_of(cluster, name) as role:
        grant(database, role, "worker")
        force_upgrade(database)
        install(database)
        with psycopg.connect(database) as connection:
            query = "select has_function_privilege(%s, 'resolver.sweep()', 'execute')"
            held = connection.execute(query, [role]).fetchone()
        assert held == (True,)
        revoke(database, role)


# Upgrades


def test_grants_outlive_an_upgrade(roles: Roles, names: list[str]) -> None:
    curious = names[2]
    execute(
        roles.owner,
        f"grant execute on function resolver.status() to {curious}",
        f"grant execute on function resolver.clock() to {curious}",
        f"grant select on resolver.resolved_step to {curious}",
        f"grant select on resolver.derivation to {curious}",
    )
    query = (
        "select proname, a.grantee::regrole::text from pg_proc p, aclexplode(p.proacl) a"
        " where p.pronamespace = 'resolver'::regnamespace"
        " union all select relname, a.grantee::regrole::text || a.privilege_type"
        " from pg_class c, aclexplode(c.relacl) a where c.relnamespace = 'resolver'::regnamespace order by 1, 2"
    )
    before = rows(roles.owner, query)
    force_upgrade(roles.owner)
    assert install(roles.owner).functions > 0
    assert rows(roles.owner, query) == before


def test_only_a_worker_and_a_monitor_get_rights_to_new_procedures_of_an_upgrade(roles: Roles, names: list[str]) -> None:
    worker, monitor, curious, _ = names
    # An older release, without these two procedures.
    execute(
        roles.owner,
        f"grant execute on function resolver.clock() to {curious}",
        "drop function resolver.sync_builds(integer[], integer[], boolean)",
        "drop function resolver.build_report(integer)",
    )
    force_upgrade(roles.owner)
    install(roles.owner)
    granted = rows(
        roles.owner,
        "select proname, array_agg(a.grantee::regrole::text order by a.grantee::regrole::text)"
        " from pg_proc p, aclexplode(p.proacl) a"
        " where p.pronamespace = 'resolver'::regnamespace and proname in ('sync_builds', 'build_report', 'clock')"
        " and a.grantee <> p.proowner group by proname order by proname",
    )
    assert granted == [("build_report", [monitor, worker]), ("clock", [curious]), ("sync_builds", [worker])]


def test_default_privileges_of_the_owner_do_not_apply_to_the_schema(hydra: str, names: list[str]) -> None:
    execute(
        hydra,
        f"alter default privileges grant all on tables to {names[3]}",
        "alter default privileges grant select on tables to public",
        f"alter default privileges grant all on sequences to {names[3]}",
        f"alter default privileges grant execute on functions to {names[3]}",
        f"alter default privileges grant usage on schemas to {names[3]}",
    )
    acls = (
        "select relname from pg_class c, aclexplode(c.relacl) a where relnamespace = 'resolver'::regnamespace"
        " and a.grantee <> c.relowner union all"
        " select proname from pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a"
        " where pronamespace = 'resolver'::regnamespace and a.grantee <> p.proowner union all"
        " select nspname from pg_namespace n, aclexplode(n.nspacl) a"
        " where nspname = 'resolver' and a.grantee <> n.nspowner"
    )
    install(hydra)
    assert rows(hydra, acls) == []
    force_upgrade(hydra)
    install(hydra)
    assert rows(hydra, acls) == []
