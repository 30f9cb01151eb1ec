"""Keeps everything that `prune` forgets, for the checker, and checks it before it is forgotten."""

from __future__ import annotations

from dataclasses import replace

import psycopg

from ..support.history import Lease, Record, Step, read

STAGES = ("unloaded", "waiting", "resolvable", "resolved", "buildable", "building", "realised", "failed")

KEEP = """
create schema storm;
create function storm.keep() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    execute format('insert into storm.%I select ($1).*, clock_timestamp()', tg_table_name) using old;
    return null;
end
$$;
do $$
declare
    v_table text;
begin
    foreach v_table in array '{derivation,lease,realisation,failure,resolution}'::text[] loop
        execute format('create table storm.%I (like resolver.%1$I)', v_table);
        execute format('alter table storm.%I add column gone timestamptz', v_table);
        execute format('create trigger storm_keep after delete on resolver.%I'
                       ' for each row execute function storm.keep()', v_table);
        execute format('create view storm.all_%I as select *, null::timestamptz as gone from resolver.%1$I'
                       ' union all select * from storm.%1$I', v_table);
    end loop;
end
$$;
create table storm.wrong (what text, drv text);

alter function resolver.delete_pruned(bigint[], integer[], bigint[], bigint[], bigint[], bigint[])
    rename to forget_unseen;
create function resolver.delete_pruned(
    p_derivations bigint[], p_goals integer[], p_realisations bigint[],
    p_resolutions bigint[], p_failures bigint[], p_leases bigint[]
) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
declare
    v_served bigint[] := array(
        select n.realisation from resolver.realisation n
          join resolver.output o on (o.derivation, o.name, o.path) = (n.derivation, n.output, n.path)
         where o.valid_since is not null
           and (n.realisation = any (p_realisations) or n.derivation = any (p_derivations)));
begin
    with recursive needed (derivation) as (
        select g.root from resolver.goal g join public.Builds b on b.id = g.build
         where b.finished = 0 and g.ended_at is null
        union
        select i.derivation
          from needed n
          join resolver.derivation_state s on s.derivation = n.derivation
         cross join lateral (select dep.input from resolver.dependency dep where dep.derivation = s.derivation
                              union all select s.resolved_to) i (derivation)
         where s.stage in ('waiting', 'resolvable', 'resolved', 'buildable', 'building') and i.derivation is not null
    )
    insert into storm.wrong
    select 'an unfinished build needs', d.drv
      from needed n join resolver.derivation d using (derivation) where d.derivation = any (p_derivations);
    insert into resolver.history (transaction, time, procedure, function, derivation, from_stage, to_stage, from_lease)
    select pg_current_xact_id()::text::bigint, resolver.clock(), 'prune', 'delete_pruned',
           s.derivation, s.stage, 'unloaded', s.lease
      from resolver.derivation_state s where s.derivation = any (p_derivations);
    insert into resolver.history (transaction, time, procedure, function, derivation, output, path, valid, is_wanted)
    select pg_current_xact_id()::text::bigint, resolver.clock(), 'prune', 'delete_pruned',
           o.derivation, o.name, o.path, false, false
      from resolver.output o where o.derivation = any (p_derivations);
    perform resolver.forget_unseen(
        p_derivations, p_goals, p_realisations, p_resolutions, p_failures, p_leases);
    insert into storm.wrong
    select 'the trace of a path that is valid was that of', d.drv
      from storm.realisation n join storm.all_derivation d using (derivation)
     where n.realisation = any (v_served);
end
$$;
"""
"""The statements to execute once, after keep_history()."""


def forgotten_too_early(conninfo: str) -> list[str]:
    """Return a message for each row that was forgotten too early."""
    with psycopg.connect(conninfo) as connection:
        rows = connection.execute("select what, drv from storm.wrong").fetchall()
    return [f"{what} {drv}, which was forgotten" for what, drv in rows]


def read_all(conninfo: str) -> Record:
    """Read a record with forgotten rows. A derivation that was registered again keeps its first number."""
    record = read(conninfo)
    with psycopg.connect(conninfo) as connection:
        number: dict[int, int] = dict(
            connection.execute(
                "select derivation, min(derivation) over (partition by drv) from storm.all_derivation"
            ).fetchall()
        )
        leases = connection.execute(
            "select lease, derivation, verb, build, stepnr, opened_at, closed_at, outcome"
            " from storm.all_lease order by 1"
        ).fetchall()
        steps = connection.execute(
            "select s.build, s.stepnr, d.derivation, s.type, s.busy, s.status from BuildSteps s"
            " join (select drv, min(derivation) as derivation from storm.all_derivation group by 1) d"
            " on d.drv = resolver.base_name(s.drvPath) order by 1, 2"
        ).fetchall()
        realisations = connection.execute("select derivation, output, path from storm.all_realisation").fetchall()
        resolved = connection.execute("select distinct resolved from storm.all_resolution").fetchall()
    return replace(
        record,
        events=[
            replace(event, derivation=number[event.derivation], resolved_to=_of(number, event.resolved_to))
            for event in record.events
        ],
        transitions=record.transitions | {(stage, "unloaded", "delete_pruned") for stage in STAGES},
        dependencies={
            number[derivation]: {number[needed]: outputs for needed, outputs in inputs.items()}
            for derivation, inputs in record.dependencies.items()
        },
        stages={
            number[derivation]: (stage, lease, _of(number, follows))
            for derivation, (stage, lease, follows) in record.stages.items()
        },
        leases=[Lease(lease, number[derivation], *rest) for lease, derivation, *rest in leases],
        realisations={(number[derivation], output, path) for derivation, output, path in realisations},
        resolved={number[row[0]] for row in resolved},
        steps=[Step(*row) for row in steps],
    )


def _of(number: dict[int, int], derivation: int | None) -> int | None:
    return None if derivation is None else number[derivation]
