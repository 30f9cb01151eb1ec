-- withdraw_outputs(paths): these store paths (base names or full) are not valid any more.
--
-- Returns   how many of them were served until now.
-- Stages    realised -> unloaded; dependents that are not realised: resolvable, buildable, resolved -> waiting
-- Locks     the graph lock
create or replace function resolver.withdraw_outputs(p_paths text[]) returns integer
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_paths text[] := array(select resolver.base_name(p) from unnest(p_paths) p);
    v_known integer;
begin
    perform resolver.lock_graph();
    select count(distinct o.path) into v_known
      from resolver.output o where o.path = any (v_paths) and o.valid_since is not null;
    perform resolver.lose_outputs(v_paths);
    perform resolver.continue_walks();
    return v_known;
end
$$;

comment on function resolver.withdraw_outputs(text[]) is
    'Store paths that were found to have gone: they are not served any more, and built again where needed.';
