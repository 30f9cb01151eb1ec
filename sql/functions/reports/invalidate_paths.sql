-- invalidate_paths(paths): these store paths (base names or full), of outputs or .drv files, are not valid any more.
--
-- Returns   the number of paths that were served until now, or are .drv files of resolved derivations; these are resolved again.
-- Stages    realised -> unloaded; dependents that are not realised: resolvable, buildable, resolved -> waiting
-- Locks     the graph lock
create or replace function resolver.invalidate_paths(p_paths text[]) returns integer
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_paths text[] := array(select distinct resolver.base_name(p) from unnest(p_paths) p);
    v_known integer;
begin
    perform resolver.lock_graph();
    select count(*) into v_known
      from unnest(v_paths) p (path)
     where exists (select from resolver.output o where o.path = p.path and o.valid_since is not null)
        or exists (select from resolver.derivation d join resolver.derivation_state f on f.resolved_to = d.derivation and f.resolved_to > 0
                    where d.drv = p.path and f.stage = 'resolved');
    perform resolver.invalidate_outputs(v_paths);
    perform resolver.run_deferred_work(20);
    return v_known;
end
$$;

comment on function resolver.invalidate_paths(text[]) is
    'Withdraws lost store paths: they are not served any more, and are built again if they are needed.';
