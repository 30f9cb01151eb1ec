-- missing_capabilities(machine type): returns in words why no live worker builds derivations of this type; null if a worker does.
create or replace function resolver.missing_capabilities(p_type integer) returns text
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select case
            when exists (select from resolver.live_workers() w where 'build' = any (w.verbs) and resolver.can_build(w, m)) then null
            when not exists (select from resolver.live_workers() w
                              where 'build' = any (w.verbs)
                                and (m.system = any (w.systems) or m.system = 'builtin'
                                     or exists (select from unnest(w.builders) b where m.system = any (b.systems))))
                then format('no worker builds for %s', m.system)
            when m.features <> '{}'
                then format('no worker for %s has the system features %s', m.system, array_to_string(m.features, ', '))
            else format('the workers for %s take other derivations only', m.system) end
          from resolver.machine_type m
         where m.machine_type = p_type);
end
$$;

comment on function resolver.missing_capabilities(integer) is 'Why no live worker builds derivations of a machine type; null if a worker does.';
