-- find_owner(derivation): an unfinished build that needs it, searched upward through what is not realised.
--
-- Returns   null when nobody needs it.
create or replace function resolver.find_owner(p_derivation bigint) returns integer
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_seen  bigint[] := array[p_derivation];
    v_layer bigint[] := array[p_derivation];
    v_owner integer;
begin
    while cardinality(v_layer) > 0 loop
        select min(g.build) into v_owner from resolver.goal g where g.root = any (v_layer) and g.ended is null;
        if v_owner is not null then
            return v_owner;
        end if;
        v_layer := array(
            select dep.derivation
              from resolver.dependency dep join resolver.derivation_state s on s.derivation = dep.derivation
             where dep.input = any (v_layer) and s.stage not in ('realised', 'failed')
            union
            select s.derivation from resolver.derivation_state s
             where s.resolved_to = any (v_layer) and s.stage = 'resolved'
            except
            select unnest(v_seen));
        v_seen := v_seen || v_layer;
    end loop;
    return null;
end
$$;

comment on function resolver.find_owner(bigint) is 'A build that still needs the derivation; null when there is none.';
