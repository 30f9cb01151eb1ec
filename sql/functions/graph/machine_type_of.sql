-- machine_type_of(system, features, prefer_local, floating): returns the number of a machine type; a new one if the type is new.
--
-- Locks     the caller holds the graph lock.
create or replace function resolver.machine_type_of(p_system text, p_features text[], p_prefer_local boolean, p_floating boolean)
    returns integer
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_features text[] := array(select distinct f from unnest(p_features) f order by f);
    v_type     integer;
begin
    select m.machine_type into v_type
      from resolver.machine_type m
     where m.system = p_system and m.features = v_features and m.prefer_local = p_prefer_local and m.floating = p_floating;
    if not found then
        insert into resolver.machine_type as m (system, features, prefer_local, floating)
        values (p_system, v_features, p_prefer_local, p_floating)
        returning m.machine_type into v_type;
    end if;
    return v_type;
end
$$;

comment on function resolver.machine_type_of(text, text[], boolean, boolean) is
    'The number of the machine type that a derivation requires.';
