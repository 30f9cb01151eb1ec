-- next_within_limits(worker, machine types, limit): as next_to_build(), but within the worker's limits by feature.
--
-- The function reads the queue up to the first derivation above a limit, and then again without the machine types that require that
-- feature.
create or replace function resolver.next_within_limits(p_worker resolver.worker, p_types integer[], p_limit integer)
    returns bigint[]
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_held   bigint[] := array(select l.derivation from resolver.lease l
                                where l.worker = p_worker.worker and l.closed_at is null and l.verb = 'build');
    v_types  integer[];
    v_next   bigint[];
    v_end    bigint;
    v_chosen bigint[] := array[]::bigint[];
begin
    loop
        v_types := array(
            select m.machine_type
              from resolver.machine_type m
             where m.machine_type = any (p_types)
               and not exists (
                   select from jsonb_each_text(p_worker.feature_limits) f (feature, places)
                    where f.feature = any (m.features)
                      and f.places::integer <= (select count(*) from resolver.derivation d
                                                 where d.derivation = any (v_held || v_chosen) and f.feature = any (d.features))));
        v_next := resolver.next_to_build(v_types, p_limit - cardinality(v_chosen), v_chosen);
        select min(n.nr) into v_end
          from (select c.nr, f.places::integer as places,
                       count(*) over (partition by f.feature order by c.nr)
                       + (select count(*) from resolver.derivation h
                           where h.derivation = any (v_held || v_chosen) and f.feature = any (h.features)) as number
                  from unnest(v_next) with ordinality c (derivation, nr)
                  join resolver.derivation d on d.derivation = c.derivation
                  join jsonb_each_text(p_worker.feature_limits) f (feature, places) on f.feature = any (d.features)) n
         where n.number > n.places;
        v_chosen := v_chosen || v_next[1:coalesce(v_end - 1, cardinality(v_next))];
        exit when v_end is null;
    end loop;
    return v_chosen;
end
$$;

comment on function resolver.next_within_limits(resolver.worker, integer[], integer) is
    'The head of the build queue, as far as a worker''s limits by feature allow.';
