-- reopen_builds(limit): builds that ended by a failure that a person had cleared, and by it alone, are restarted as well.
--
-- Those that depend on it, and those that it is the root of if it was a failure of the builder: who timed out is not asked
-- for. Not those that were cancelled or given another derivation since. Those with another failure in their way are put down to
-- that one, so that they come back with it.
--
-- Locks     the caller holds the graph lock. The counter of finished builds, then rows of Builds in the order of ids: both
--           SKIP LOCKED. What is skipped is done at a later tick.
-- Stages    realised -> unloaded, for their roots
-- Notifies  derivation_wanted
create or replace function resolver.reopen_builds(p_limit integer) returns void
    language plpgsql volatile
    set search_path = pg_catalog, public, pg_temp
as $$
declare
    v_failures bigint[];
    v_builds   integer[];
    v_held     integer[];
begin
    if not exists (select from resolver.failure f where f.reopening)
       -- What else is in the way of their roots is not known before these walks have come to their ends.
       or exists (select from resolver.walk w where w.kind in ('clear', 'fail')) then
        return;
    end if;
    select coalesce(array_agg(distinct c.failure) filter (where not c.held), '{}'),
           coalesce(array_agg(c.build) filter (where not c.held), '{}'), coalesce(array_agg(c.build) filter (where c.held), '{}')
      into v_failures, v_builds, v_held
      from (select f.failure, g.build, s.stage = 'failed' or s.failed_dependency is not null as held
              from resolver.failure f
              join resolver.goal g on g.cause = f.derivation and coalesce(g.blamed, g.ended) between f.time and f.cleared
              join resolver.derivation_state s on s.derivation = g.root
              join resolver.derivation d on d.derivation = g.root
              join public.Builds b on b.id = g.build
             where f.reopening and (g.status = 2 or f.class = 'builder')
               and b.drvPath = resolver.hydra_path(d.drv)
               and case when g.recorded is null then b.finished = 0 else b.finished = 1 and b.buildStatus = g.status end
             limit p_limit) c;
    update resolver.goal g set cause = resolver.cause_of(g.root), blamed = resolver.clock() where g.build = any (v_held);
    if cardinality(v_builds || v_held) < p_limit then
        update resolver.failure f set reopening = false where f.reopening and f.failure <> all (v_failures);
    end if;
    if cardinality(v_builds) = 0 or not resolver.lock_counter() then
        return;
    end if;

    v_builds := array(
        select b.id from public.Builds b join resolver.goal g on g.build = b.id
         where b.id = any (v_builds) and (b.finished = 0 or b.buildStatus = g.status)
         order by b.id
           for update of b skip locked);
    update public.Builds b set finished = 0, isCachedBuild = 0 where b.id = any (v_builds) and b.finished = 1;
    perform resolver.open_goals(v_builds, v_builds, '{}');
end
$$;

comment on function resolver.reopen_builds(integer) is 'After a restart: other builds that ended by the same failure are restarted, too.';
