-- record_completions(ended): derivations get the valid outputs of their origins; their watchers and goals go on.
--
-- Stages    the derivations -> realised, if all wanted outputs are valid; realised -> unloaded, for a root that has to be
--           loaded again
-- Locks     the caller holds the graph lock.
-- Notifies  derivation_wanted
-- A goal needs the info for Hydra's tables. If there is none, the root is loaded again, and that report ends the goal. The same happens
-- if a root has more goals than may end at a time.
create or replace function resolver.record_completions(p_ended resolver.ended[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now constant timestamptz := resolver.clock();
    v_ids constant bigint[] := array(select e.derivation from unnest(p_ended) e);
begin
    if cardinality(p_ended) = 0 then
        return;
    end if;
    update resolver.output f
       set path = o.path, valid_since = v_now, lost_at = null
      from (select e.derivation, o.name, o.path
              from unnest(p_ended) e join resolver.output o on o.derivation = e.origin and o.valid_since is not null
             where e.derivation <> e.origin offset 0) o
     where f.derivation = o.derivation and f.name = o.name and f.valid_since is null;
    perform resolver.failpoint('complete_derivations: served');
    perform resolver.record_terminals(p_ended);
    perform resolver.record_cut_offs(p_ended);

    update resolver.derivation_state s
       set stage = 'realised', lease = null, failed_dependency = null, not_before = null, tries = 0
     where s.derivation = any (v_ids)
       and not exists (select from resolver.output o
                        where o.derivation = s.derivation and o.is_wanted and o.valid_since is null);
    perform resolver.close_leases_of(v_ids);
    delete from resolver.watch w using resolver.derivation_state s
     where w.derivation = any (v_ids) and s.derivation = w.derivation and s.stage = 'realised';

    -- The goal records that the root was built for it, even if another report will end the goal.
    with met as materialized (
        select g.build, e.info, e.built_for, e.origin
          from unnest(p_ended) e
         cross join lateral (select x.build from resolver.goal x where x.build = e.built_for and x.root = e.derivation and x.ended_at is null
                             union
                             (select x.build from resolver.goal x where x.root = e.derivation and x.root > 0 and x.ended_at is null
                               order by x.build + 0 limit 99)) g
         where e.info is not null or g.build = e.built_for
         limit 100
    ), ended as (
        update resolver.goal g
           set ended_at = case when m.info is not null then v_now end,
               status = case when (m.info -> 'failed')::boolean then 6 when m.info is not null then 0 end,
               is_cached = coalesce(g.is_cached, true) and g.build is distinct from m.built_for
                        -- The origin was built for this build while the root was not resolved to it.
                        and not exists (select from resolver.derivation d join public.BuildSteps b on b.drvPath = resolver.hydra_path(d.drv)
                                         where d.derivation = m.origin and b.build + 0 = g.build and b.type = 0 and b.status = 0
                                           and b.stopTime >= resolver.hydra_time(g.opened_at)),
               info = m.info
          from met m
         where g.build = m.build
        returning g.build, g.ended_at
    )
    insert into resolver.propagation as w (kind, subject)
    select 'disown', e.build from ended e
     where e.ended_at is not null
       and exists (select from resolver.derivation_state s
                    where s.owner = e.build and s.owner > 0 and s.stage not in ('realised', 'failed'))
    on conflict (kind, subject) do update set after = 0 where w.after > 0;

    update resolver.derivation_state s
       set stage = 'unloaded', resolved_to = null
     where s.derivation = any (v_ids) and s.stage = 'realised'
       and exists (select from resolver.goal g where g.root = s.derivation and g.root > 0 and g.ended_at is null);
    if found then
        perform pg_notify('derivation_wanted', '');
    end if;

    perform resolver.notify_watchers(v_ids);
end
$$;

comment on function resolver.record_completions(resolver.ended[]) is
    'Derivations get valid outputs: they are realised, and their watchers and goals go on.';
revoke all on function resolver.record_completions(resolver.ended[]) from public;
