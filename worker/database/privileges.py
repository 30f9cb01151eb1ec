"""Rights to the schema `resolver`: roles of workers and of monitors, and grants that survive an upgrade.

No table stores rights: an upgrade reads the grants from the catalog before it recreates the functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, NamedTuple

import psycopg
from psycopg import sql

from .administration import administration, become_owner
from .errors import DatabaseError, NoSuchRoleError, NotInstalledError
from .installed import exists
from .release import OPTIONAL_TABLES, needed_privileges

Kind = Literal["worker", "monitor"]
KINDS: tuple[Kind, ...] = ("worker", "monitor")
OWNER_ONLY = ["clear_failures", "keep_history", "prune"]
"""Functions for the owner only: they change or delete recorded data, and workers don't call them."""

_API = """
    select p.oid::regprocedure::text as name, p.oid, p.proacl, p.provolatile = 'v' as writes
      from pg_proc p
     where p.pronamespace = 'resolver'::regnamespace and p.prosecdef and p.proname <> all (%(owner_only)s)
"""
_VIEWS = """
    select c.oid::regclass::text as name, c.relacl from pg_class c
     where c.relnamespace = 'resolver'::regnamespace and c.relkind = 'v'
"""


class Grant(NamedTuple):
    """One right of one role to one object. `what` is a keyword of GRANT; `role` is None for PUBLIC."""

    what: str
    name: str
    role: str | None
    privilege: str


@dataclass(frozen=True, slots=True)
class Rights:
    """All grants, and the roles that have all rights of a worker or a monitor."""

    grants: frozenset[Grant]
    roles: dict[str, Kind]


def grant(conninfo: str, role: str, kind: Kind) -> None:
    """Give an existing role the rights of a worker or of a monitor, and revoke all others that it had.

    A worker may call all procedures but the owner's own; a monitor may call the procedures that only read, and read
    views. Raises NoSuchRoleError, NotInstalledError, NotOwnerError.
    """
    with _as_owner(conninfo, role) as connection:
        _revoke(connection, role)
        _grant(connection, role, kind)


def revoke(conninfo: str, role: str) -> bool:
    """Revoke all rights of a role to the schema; return whether it had any. Raises as `grant` does."""
    with _as_owner(conninfo, role) as connection:
        had = any(right.role == role for right in capture(connection).grants)
        _revoke(connection, role)
        return had


@contextmanager
def _as_owner(conninfo: str, role: str) -> Iterator[psycopg.Connection]:
    with administration(conninfo) as connection:
        row = connection.execute(
            "select n.oid is not null, r.oid is not null, r.oid = n.nspowner, r.rolsuper"
            " from (select) x"
            " left join pg_namespace n on n.nspname = 'resolver'"
            " left join pg_roles r on r.rolname = %s",
            [role],
        ).fetchone()
        assert row
        installed, known, is_owner, is_superuser = row
        if not installed:
            raise NotInstalledError
        if not known:
            raise NoSuchRoleError(role)
        if is_owner or is_superuser:
            reason = "owns the schema 'resolver'" if is_owner else "is a superuser"
            raise DatabaseError(f"the role '{role}' {reason}, and may do everything already. Name another role.")
        become_owner(connection)
        yield connection


def _grant(connection: psycopg.Connection, role: str, kind: Kind) -> None:
    functions = connection.execute(_API.encode(), {"owner_only": OWNER_ONLY}).fetchall()
    statements = ["grant usage on schema resolver to {}"]
    statements += [
        f"grant execute on function {name} to {{}}" for name, *_, writes in functions if kind == "worker" or not writes
    ]
    if kind == "monitor":
        statements += [f"grant select on {name} to {{}}" for name, _ in connection.execute(_VIEWS.encode()).fetchall()]
    _execute(connection, statements, role)


def _revoke(connection: psycopg.Connection, role: str) -> None:
    objects = ("all tables in schema", "all sequences in schema", "all routines in schema", "schema")
    _execute(connection, [f"revoke all on {what} resolver from {{}}" for what in objects], role)


def _execute(connection: psycopg.Connection, statements: Iterable[str], role: str | None) -> None:
    """Execute statements with the role in place of the braces. Names in them come from the catalog, quoted."""
    named = sql.SQL("public") if role is None else sql.Identifier(role)
    for statement in statements:
        connection.execute(sql.SQL(statement).format(named))


# An upgrade


def capture(connection: psycopg.Connection) -> Rights:
    """Return all grants, without the owner's own rights; none if there is no schema."""
    if connection.execute("select to_regnamespace('resolver')").fetchone() == (None,):
        return Rights(frozenset(), {})
    grants = connection.execute(
        """
        select x.what, x.name, r.rolname, a.privilege_type
          from (select case c.relkind when 'S' then 'sequence' else 'table' end as what, c.relname as name,
                       c.relacl as acl, c.relowner as owner
                  from pg_class c
                 where c.relnamespace = 'resolver'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'S')
                union all
                select 'routine', p.proname, coalesce(p.proacl, acldefault('f', p.proowner)), p.proowner
                  from pg_proc p where p.pronamespace = 'resolver'::regnamespace
                union all
                select 'schema', n.nspname, n.nspacl, n.nspowner from pg_namespace n where n.nspname = 'resolver') x
         cross join aclexplode(x.acl) a
          left join pg_roles r on r.oid = a.grantee
         where a.grantee <> x.owner
        """
    ).fetchall()
    roles = connection.execute(
        f"""
        with api as ({_API}), views as ({_VIEWS})
        select r.rolname,
               (select bool_and(exists (select from aclexplode(p.proacl) a where a.grantee = r.oid)) from api p),
               (select bool_and(exists (select from aclexplode(p.proacl) a where a.grantee = r.oid))
                  from api p where not p.writes)
               and (select bool_and(exists (select from aclexplode(v.relacl) a where a.grantee = r.oid)) from views v)
          from pg_roles r
         where r.oid in (select a.grantee from pg_namespace n, aclexplode(n.nspacl) a
                          where n.nspname = 'resolver' and a.grantee <> n.nspowner)
        """.encode(),
        {"owner_only": OWNER_ONLY},
    ).fetchall()
    kinds: dict[str, Kind] = {
        role: "worker" if worker else "monitor" for role, worker, monitor in roles if worker or monitor
    }
    return Rights(frozenset(Grant(*row) for row in grants), kinds)


def restore(connection: psycopg.Connection, before: Rights) -> None:
    """Restore the grants of all objects whose names still exist; PUBLIC gets nothing.

    Workers and monitors get the rights that they have in this release. Grants that come from default privileges of the
    owner are revoked.
    """
    for right in capture(connection).grants - before.grants:
        _execute(
            connection, [f"revoke all on {target} from {{}}" for target in _targets(connection, right)], right.role
        )
    for right in before.grants - capture(connection).grants:
        _execute(
            connection,
            [f"grant {right.privilege} on {target} to {{}}" for target in _targets(connection, right)],
            right.role,
        )
    for role, kind in before.roles.items():
        _grant(connection, role, kind)


def _targets(connection: psycopg.Connection, right: Grant) -> list[str]:
    """Return the objects of that name, for GRANT and REVOKE: an object, several functions, or nothing."""
    rows = connection.execute(
        """
        select format('schema %%I', n.nspname) from pg_namespace n where %(what)s = 'schema' and n.nspname = %(name)s
        union all
        select format('%%s %%s', %(what)s, c.oid::regclass) from pg_class c
         where c.relnamespace = 'resolver'::regnamespace and c.relname = %(name)s and %(what)s in ('table', 'sequence')
        union all
        select format('routine %%s', p.oid::regprocedure) from pg_proc p
         where p.pronamespace = 'resolver'::regnamespace and p.proname = %(name)s and %(what)s = 'routine'
        """,
        right._asdict(),
    ).fetchall()
    return [target for (target,) in rows]


# Hydra's tables


def lacking_privileges(connection: psycopg.Connection, role: str) -> list[str]:
    """Return the rights to Hydra's tables that our functions need and the role lacks: `SELECT on builds`, and so on."""
    lacking = []
    for table, privileges in sorted(needed_privileges().items()):
        if not exists(connection, f"public.{table}"):
            if table not in OPTIONAL_TABLES:
                lacking.append(f"there is no table {table}")
            continue
        rows = connection.execute(
            "select p from unnest(%s::text[]) p where not has_table_privilege(%s, to_regclass(%s), p)",
            [sorted(privileges), role, f"public.{table}"],
        ).fetchall()
        lacking += [f"{privilege} on {table}" for (privilege,) in rows]
    return lacking
