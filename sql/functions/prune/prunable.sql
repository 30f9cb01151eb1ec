-- prunable(derivations, before, valid): returns the derivations that can be pruned: nothing happened to them since p_before, and
-- no derivation that stays needs them. valid: derivations with valid outputs can be pruned as well.
--
-- A lost output counts from when it was made. A derivation that needs another one goes first, or with it: see delete_pruned().
create or replace function resolver.prunable(p_derivations bigint[], p_before timestamptz, p_valid boolean) returns bigint[]
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
    -- As in planner.sql: some hundred rows by key.
    set enable_hashjoin = off set enable_mergejoin = off set enable_material = off set enable_seqscan = off set plan_cache_mode = force_generic_plan
as $$
declare
    v_found bigint[] := p_derivations;
    v_held  bigint[];
begin
    -- This is a statement of its own: with an OR in its place, the planner reads all realisations.
    if not p_valid then
        v_found := array(
            select x from unnest(v_found) x
             where not exists (select from resolver.output o where o.derivation = x and o.valid_since is not null)
               and not exists (select from resolver.realisation n where n.derivation = x and n.ceased_at is null));
    end if;
    v_found := array(
        select s.derivation
          from resolver.derivation_state s
         where s.derivation = any (v_found) and s.lease is null
           and not exists (select from resolver.realisation n where n.derivation = s.derivation and n.time >= p_before)
           and not exists (select from resolver.resolution r where r.derivation = s.derivation and r.time >= p_before)
           and not exists (select from resolver.resolution r where r.resolved = s.derivation and r.time >= p_before)
           and not exists (select from resolver.failure f where f.derivation = s.derivation and f.time >= p_before)
           and not exists (select from resolver.goal g
                            where g.root = s.derivation and (g.recorded_at is null or g.recorded_at >= p_before or resolver.is_held_back(g)))
           and not exists (select from resolver.goal g
                            where g.cause = s.derivation and (g.recorded_at is null or g.recorded_at >= p_before or resolver.is_held_back(g)))
           and not exists (select from resolver.propagation w where w.subject = s.derivation and w.kind not in ('raise', 'disown')));

    -- A derivation that is realised, failed, or loaded again before it is built does not need its inputs, or gets them again.
    v_held := array(
        select i.derivation
          from unnest(v_found) i (derivation)
         where exists (select from resolver.dependency dep join resolver.derivation_state x on x.derivation = dep.derivation
                        where dep.input = i.derivation and x.derivation <> all (v_found)
                          and (x.stage not in ('realised', 'failed', 'unloaded') or x.stage = 'unloaded' and x.owner is not null))
            or exists (select from resolver.derivation_state x
                        where x.resolved_to = i.derivation and x.resolved_to > 0 and x.derivation <> all (v_found))
            or exists (select from resolver.derivation_state x
                        where x.failed_dependency = i.derivation and x.failed_dependency > 0 and x.derivation <> all (v_found)));
    while cardinality(v_held) > 0 loop
        v_found := array(select x from unnest(v_found) x where x <> all (v_held));
        v_held := array(
            select i.derivation
              from resolver.derivation_state x
             cross join lateral (
                  select dep.input from resolver.dependency dep
                   where dep.derivation = x.derivation
                     and (x.stage not in ('realised', 'failed', 'unloaded') or x.stage = 'unloaded' and x.owner is not null)
                  union all select x.resolved_to
                  union all select x.failed_dependency) i (derivation)
             where x.derivation = any (v_held) and i.derivation = any (v_found));
    end loop;
    return v_found;
end
$$;

comment on function resolver.prunable(bigint[], timestamptz, boolean) is
    'Derivations of these that are old, and that no remaining derivation needs.';
