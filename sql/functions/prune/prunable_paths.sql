-- prunable_paths(older_than, after): returns paths that keep old derivations, which nothing needs, from being pruned.
--
-- The function looks at a bounded number of derivations after the number p_after. It returns a path only if all derivations that
-- have the path are old and not needed. A caller that finds the path gone from the store can withdraw it.
-- Returns   {"paths": {drv: [path]}, "after"}; "after" is the argument for the next call, null if this was the last.
create or replace function resolver.prunable_paths(p_older_than interval, p_after bigint default 0) returns jsonb
    language plpgsql stable security definer
    set search_path = pg_catalog, pg_temp
    -- As in planner.sql: some hundred rows by key.
    set enable_hashjoin = off set enable_mergejoin = off set enable_material = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
    v_limit constant integer := 250;
    v_seen  bigint[];
    v_paths text[];
    v_known bigint[];
    v_old   bigint[];
begin
    v_seen := array(select d.derivation from resolver.derivation d where d.derivation > p_after order by d.derivation limit v_limit);
    v_old := resolver.prunable(v_seen, resolver.clock() - p_older_than, true);
    v_paths := array(
        select o.path from resolver.output o where o.derivation = any (v_old) and o.valid_since is not null
        union
        select n.path from resolver.realisation n where n.derivation = any (v_old) and n.ceased_at is null);
    v_known := array(
        select o.derivation from resolver.output o where o.path = any (v_paths) and o.valid_since is not null
        union
        select n.derivation from resolver.realisation n where n.path = any (v_paths) and n.path > '' and n.ceased_at is null);
    v_old := resolver.prunable(array(select unnest(v_known) union select unnest(v_seen)), resolver.clock() - p_older_than, true);
    v_paths := array(
        select p.path from unnest(v_paths) p (path)
         where not exists (select from resolver.output o
                            where o.path = p.path and o.valid_since is not null and o.derivation <> all (v_old))
           and not exists (select from resolver.realisation n
                            where n.path = p.path and n.path > '' and n.ceased_at is null and n.derivation <> all (v_old)));
    return jsonb_build_object(
        'paths', (
            select coalesce(jsonb_object_agg(k.drv, k.paths), '{}')
              from (select d.drv, array(
                               select o.path from resolver.output o
                                where o.derivation = d.derivation and o.valid_since is not null
                               union
                               select n.path from resolver.realisation n
                                where n.derivation = d.derivation and n.ceased_at is null order by 1) as paths
                      from resolver.derivation d where d.derivation = any (v_seen) and d.derivation = any (v_old)) k
             where k.paths <> '{}' and k.paths <@ v_paths),
        'after', v_seen[v_limit]);
end
$$;

comment on function resolver.prunable_paths(interval, bigint) is
    'Paths of old derivations that nothing needs: if the store does not have them any more, the derivations can be pruned.';
