-- can_build(worker, machine type): returns whether the worker builds derivations of this type, on its own machine or on a builder.
create or replace function resolver.can_build(p_worker resolver.worker, p_type resolver.machine_type) returns boolean
    language plpgsql immutable
    set search_path = pg_catalog, pg_temp
as $$
begin
    if (p_type.system = any (p_worker.systems) or p_type.system = 'builtin' and p_worker.systems <> '{}')
       and p_type.features <@ p_worker.features then
        return p_worker.only_kind is distinct from 'prefer-local' or p_type.prefer_local;
    end if;
    return p_worker.only_kind is null
       and exists (select from unnest(p_worker.builders) b
                    where (p_type.system = any (b.systems) or p_type.system = 'builtin')
                      and p_type.features <@ (b.features || b.mandatory) and b.mandatory <@ p_type.features
                      and (not p_type.floating or 'ca-derivations' = any (b.features)));
end
$$;

comment on function resolver.can_build(resolver.worker, resolver.machine_type) is 'Whether a worker builds derivations of a machine type.';
