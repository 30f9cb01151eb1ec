-- unsupported_types(): returns machine types that have buildable derivations, and that no live worker takes.
create or replace function resolver.unsupported_types() returns integer[]
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    return array(
        select m.machine_type
          from resolver.machine_type m
         where exists (select from resolver.derivation_state s
                        where s.stage = 'buildable' and s.owner > 0 and s.machine_type = m.machine_type)
           and not exists (select from resolver.worker w
                            where w.gone_at is null and 'build' = any (w.verbs) and resolver.can_build(w, m)));
end
$$;

comment on function resolver.unsupported_types() is 'Machine types that have buildable derivations, and that no live worker takes.';
