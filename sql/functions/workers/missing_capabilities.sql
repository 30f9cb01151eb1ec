-- missing_capabilities(machine type): why no live worker builds what asks for such a machine, in words; null: one does.
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

comment on function resolver.missing_capabilities(integer) is 'What it is that no live worker has for derivations of a machine type; null: nothing.';
