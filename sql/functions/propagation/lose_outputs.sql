-- lose_outputs(paths): these are gone from the store: what needs them waits for them again.
--
-- Locks     the caller holds the graph lock. If very many outputs have these paths, continue_walks() goes on with them.
create or replace function resolver.lose_outputs(p_paths text[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    if p_paths = '{}' then
        return;
    end if;
    insert into resolver.lost_path (path, lost) select distinct p, resolver.clock() from unnest(p_paths) p
    on conflict (path) do update set lost = excluded.lost;
    perform resolver.lose_paths(200);
end
$$;

comment on function resolver.lose_outputs(text[]) is 'Outputs that are gone: their derivations are looked at again, dependents wait.';
