-- prune_edges(derivations): returns the derivations that one transaction can delete, by the number of their inputs and dependents.
--
-- Returns   gone: the derivations; next: where the next call has to begin, null if that is all. If a derivation has too many edges
--           by itself, a part of them is deleted, and the next call sees the derivation again.
-- Locks     the caller holds the graph lock.
create or replace function resolver.prune_edges(p_derivations bigint[], out gone_at bigint[], out next bigint)
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_limit constant integer := 2000;
    v_left  integer := v_limit;
    v_edges integer;
    v_one   bigint;
begin
    gone_at := '{}';
    for v_one in select x from unnest(p_derivations) x order by 1
    loop
        select count(*) into v_edges
          from (select from ((select from resolver.dependency dep where dep.derivation = v_one limit v_left + 1)
                             union all
                             (select from resolver.dependency dep where dep.input = v_one limit v_left + 1)) e
                 limit v_left + 1) x;
        if v_edges > v_left then
            next := v_one - 1;
            if gone_at = '{}' then
                delete from resolver.dependency dep
                 where (dep.derivation, dep.input) in (
                       select e.derivation, e.input
                         from ((select d.derivation, d.input from resolver.dependency d where d.derivation = v_one limit v_limit)
                               union all
                               (select d.derivation, d.input from resolver.dependency d where d.input = v_one limit v_limit)) e
                        limit v_limit);
            end if;
            return;
        end if;
        gone_at := gone_at || v_one;
        v_left := v_left - v_edges;
    end loop;
end
$$;

comment on function resolver.prune_edges(bigint[]) is
    'Derivations whose edges can be deleted in one transaction; of a larger one, a part of the edges is deleted.';
revoke all on function resolver.prune_edges(bigint[]) from public;
