-- release_resolutions(drvs): the store lost these .drv files: derivations that were resolved to one are resolved, and write it, again.
--
-- Stages    resolved -> waiting -> resolvable, for a bounded number; the next claim that misses the file does more
-- Locks     the caller holds the graph lock.
create or replace function resolver.release_resolutions(p_drvs text[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_resolved  bigint[];
    v_followers bigint[];
begin
    select array_agg(distinct d.derivation), array_agg(f.derivation) into v_resolved, v_followers
      from resolver.derivation d
      join resolver.derivation_state s on s.derivation = d.derivation and s.stage in ('unloaded', 'buildable', 'building')
     cross join lateral (select f.derivation from resolver.derivation_state f
                          where f.resolved_to = d.derivation and f.resolved_to > 0 and f.stage = 'resolved' order by f.derivation + 0 limit 100) f
     where d.drv = any (p_drvs);
    if v_resolved is null then
        return;
    end if;
    update resolver.resolution r set released_at = resolver.clock() where r.derivation = any (v_followers) and r.released_at is null;
    update resolver.derivation_state s set stage = 'waiting', resolved_to = null where s.derivation = any (v_followers);
    perform resolver.revoke_leases(array(select s.lease from resolver.derivation_state s
                                      where s.derivation = any (v_resolved) and s.lease is not null),
                               'released', 'the resolved .drv is gone from the store', true);
    perform resolver.find_owners(v_resolved);
    perform resolver.reevaluate_readiness(v_followers);
end
$$;

comment on function resolver.release_resolutions(text[]) is 'Derivations that were resolved to a lost .drv are resolved again.';
revoke all on function resolver.release_resolutions(text[]) from public;
