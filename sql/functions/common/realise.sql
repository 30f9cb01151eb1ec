-- realise(derivation, info, built for): its outputs are valid now; everything that follows from it follows here.
--
-- Stages    the derivation and its followers -> realised; watchers look for their next input; goals end.
-- Arguments info: what was read from the outputs (sizes, products ...), null when the caller did not look;
--           built for: the build on whose account it was built in this very transaction, null when it was not.
-- Locks     the caller holds the graph lock.
-- A goal needs the info for Hydra's tables: without it the root is looked at again, and that report ends the goal.
create or replace function resolver.realise(p_derivation bigint, p_info jsonb, p_built_for integer) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now       timestamptz := resolver.clock();
    v_followers bigint[];
    v_ended     bigint[];
    v_follower  record;
begin
    v_followers := array(select s.derivation from resolver.derivation_state s
                          where s.resolved_to = p_derivation and s.stage = 'resolved'
                          order by s.derivation);

    update resolver.output f
       set path = o.path, valid_since = v_now, lost = null
      from resolver.output o
     where f.derivation = any (v_followers) and o.derivation = p_derivation and o.name = f.name
       and o.valid_since is not null and f.valid_since is null;

    for v_follower in
        select r.build from resolver.resolution r
         where r.derivation = any (v_followers) and r.released is null and r.build is not null
           and not exists (select from public.BuildSteps t
                            where t.build = r.build and t.status = 0
                              and t.drvPath = (select resolver.hydra_path(d.drv) from resolver.derivation d
                                                where d.derivation = p_derivation))
         group by r.build order by r.build
    loop
        perform resolver.record_step(v_follower.build, p_derivation, 1, 0, 0);
    end loop;

    v_ended := v_followers || p_derivation;
    delete from resolver.watch w where w.derivation = any (v_ended);
    update resolver.derivation_state s
       set stage = 'realised', lease = null, failed_dependency = null, not_before = null, tries = 0
     where s.derivation = any (v_ended)
       and not exists (select from resolver.output o
                        where o.derivation = s.derivation and o.wanted and o.valid_since is null);

    update resolver.goal g
       set ended = v_now,
           status = case when (p_info -> 'failed')::boolean then 6 else 0 end,
           cached = g.build is distinct from p_built_for,
           info = p_info
     where g.root = any (v_ended) and g.ended is null and p_info is not null
       and not exists (select from resolver.output o where o.derivation = g.root and o.valid_since is null);

    if p_info is null then
        update resolver.derivation_state s
           set stage = 'unloaded', resolved_to = null
         where s.derivation = any (v_ended) and s.stage = 'realised'
           and exists (select from resolver.goal g where g.root = s.derivation and g.ended is null);
        if found then
            perform pg_notify('derivation_wanted', '');
        end if;
    end if;

    perform resolver.settle(array(select w.derivation from resolver.watch w
                                   where w.input = any (v_ended) order by w.derivation));
end
$$;

comment on function resolver.realise(bigint, jsonb, integer) is
    'Everything that follows once a derivation''s outputs are valid: followers, watchers, goals.';
