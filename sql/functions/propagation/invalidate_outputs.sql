-- invalidate_outputs(paths): these paths are gone from the store: derivations that need them wait for them again.
--
-- Locks     the caller holds the graph lock. If very many outputs have these paths, run_propagations() does the rest.
create or replace function resolver.invalidate_outputs(p_paths text[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    if p_paths = '{}' then
        return;
    end if;
    insert into resolver.lost_path (path, lost_at) select distinct p, resolver.clock() from unnest(p_paths) p
    on conflict (path) do update set lost_at = excluded.lost_at;
    perform resolver.invalidate_lost_outputs(200);
end
$$;

comment on function resolver.invalidate_outputs(text[]) is 'Outputs that are gone: their derivations are loaded again, and dependents wait.';
