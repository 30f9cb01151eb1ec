-- realise(ended): the outputs of these derivations are valid now; everything that follows from it follows here.
--
-- Stages    the derivations and their followers -> realised; watchers look for their next input; goals end.
-- Locks     the caller holds the graph lock.
-- A goal needs the info for Hydra's tables: without it the root is looked at again, and that report ends the goal. What was read
-- of other paths than those that are served is no info: callers leave it out, and so is it left out here for followers.
create or replace function resolver.realise(p_ended resolver.ended[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now   timestamptz := resolver.clock();
    v_ended resolver.ended[];
    v_ids   bigint[];
begin
    if cardinality(p_ended) = 0 then
        return;
    end if;
    v_ended := p_ended || array(
        select row(s.derivation, e.derivation,
                   case when e.info is not null
                         and not exists (select from resolver.output f
                                           join resolver.output o on o.derivation = e.derivation and o.name = f.name
                                          where f.derivation = s.derivation and f.valid_since is not null and f.path <> o.path)
                        then e.info end, e.built_for)::resolver.ended
          from unnest(p_ended) e
          join resolver.derivation_state s on s.resolved_to = e.derivation and s.stage = 'resolved'
         order by s.derivation);
    v_ids := array(select e.derivation from unnest(v_ended) e);

    update resolver.output f
       set path = o.path, valid_since = v_now, lost = null
      from unnest(v_ended) e join resolver.output o on o.derivation = e.origin
     where f.derivation = e.derivation and e.derivation <> e.origin and o.name = f.name
       and o.valid_since is not null and f.valid_since is null;
    perform resolver.failpoint('realise: served');
    perform resolver.record_terminals(v_ended);
    perform resolver.record_cut_offs(v_ended);

    update resolver.derivation_state s
       set stage = 'realised', lease = null, failed_dependency = null, not_before = null, tries = 0
     where s.derivation = any (v_ids)
       and not exists (select from resolver.output o
                        where o.derivation = s.derivation and o.wanted and o.valid_since is null);
    perform resolver.end_claims(v_ids);
    delete from resolver.watch w using resolver.derivation_state s
     where w.derivation = any (v_ids) and s.derivation = w.derivation and s.stage = 'realised';

    -- That it was built for this build is noted though another report will end it.
    update resolver.goal g
       set ended = case when e.info is not null then v_now end,
           status = case when (e.info -> 'failed')::boolean then 6 when e.info is not null then 0 end,
           cached = coalesce(g.cached, true) and g.build is distinct from e.built_for, info = e.info
      from unnest(v_ended) e
     where g.root = e.derivation and g.ended is null and (e.info is not null or g.build = e.built_for);
    update resolver.derivation_state s
       set stage = 'unloaded', resolved_to = null
      from unnest(v_ended) e
     where s.derivation = e.derivation and e.info is null and s.stage = 'realised'
       and exists (select from resolver.goal g where g.root = s.derivation and g.ended is null);
    if found then
        perform pg_notify('derivation_wanted', '');
    end if;

    perform resolver.wake(v_ids);
end
$$;

comment on function resolver.realise(resolver.ended[]) is
    'Everything that follows once derivations'' outputs are valid: followers, watchers, goals.';
