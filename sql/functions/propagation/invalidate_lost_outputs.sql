-- invalidate_lost_outputs(limit): outputs with lost paths cease to be valid, at most so many at a time; their derivations are loaded again.
--
-- Returns   the number of outputs and realisations that ceased to be valid
-- Stages    realised -> unloaded; resolved -> waiting, for a derivation that was resolved to one whose .drv is lost
-- Locks     the caller holds the graph lock. A propagation reaches the dependents.
-- Notifies  derivation_wanted
create or replace function resolver.invalidate_lost_outputs(p_limit integer) returns integer
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now   constant timestamptz := resolver.clock();
    v_paths text[] := array(select p.path from resolver.lost_path p order by p.path limit p_limit);
    v_lost  bigint[];
    v_n     integer;
    v_old   integer;
begin
    with gone as (
        update resolver.output o set valid_since = null, lost_at = v_now
          from (select x.derivation, x.name
                  from unnest(v_paths) v (path)
                  join resolver.lost_path p on p.path = v.path
                 cross join lateral (select y.derivation, y.name from resolver.output y
                                      where y.path = p.path and y.valid_since <= p.lost_at limit p_limit) x
                 limit p_limit) x
         where o.derivation = x.derivation and o.name = x.name
        returning o.derivation
    )
    select coalesce(array_agg(distinct g.derivation), '{}'), count(*) into v_lost, v_n from gone g;
    -- This includes realisations that were never served: second paths of an output.
    update resolver.realisation r set ceased_at = v_now
      from (select y.realisation
              from unnest(v_paths) v (path)
              join resolver.lost_path p on p.path = v.path
             cross join lateral (select y.realisation from resolver.realisation y
                                  where y.path = p.path and y.path > '' and y.ceased_at is null and y.time <= p.lost_at limit p_limit) y
             limit p_limit) x
     where r.realisation = x.realisation;
    get diagnostics v_old = row_count;
    perform resolver.release_resolutions(v_paths);
    if v_n < p_limit and v_old < p_limit then
        delete from resolver.lost_path p where p.path = any (v_paths);
    end if;
    if v_lost = '{}' then
        return v_n + v_old;
    end if;

    update resolver.derivation_state s set stage = 'unloaded', resolved_to = null
     where s.derivation = any (v_lost) and s.stage = 'realised'
       and exists (select from resolver.output o where o.derivation = s.derivation and o.is_wanted and o.valid_since is null);
    update resolver.resolution r set released_at = v_now
     where r.derivation = any (v_lost) and r.released_at is null
       and not exists (select from resolver.derivation_state s where s.derivation = r.derivation and s.resolved_to is not null);
    perform resolver.find_owners(array(
        select s.derivation from resolver.derivation_state s where s.derivation = any (v_lost) and s.stage = 'unloaded'));
    perform resolver.start_propagations('lose', v_lost);
    -- The failure did not concern dependents whose needed output was valid; now it does.
    perform resolver.start_propagations('fail', array(
        select s.derivation from resolver.derivation_state s
         where s.derivation = any (v_lost) and (s.stage = 'failed' or s.failed_dependency is not null)));
    perform pg_notify('derivation_wanted', '');
    return v_n + v_old;
end
$$;

comment on function resolver.invalidate_lost_outputs(integer) is 'Continues with lost paths: the outputs that have them cease to be valid.';
revoke all on function resolver.invalidate_lost_outputs(integer) from public;
