-- notify_watchers_along(stretches): a part of the watchers of these derivations look for their next input.
--
-- Locks     the caller holds the graph lock.
create or replace function resolver.notify_watchers_along(p_ranges resolver.edge_range[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_watchers bigint[];
    v_after    bigint[];
begin
    select array_agg(w.derivation order by w.derivation), array_agg(case when w.in_order then w.input - 1 else 0 end order by w.derivation)
      into v_watchers, v_after
      from unnest(p_ranges) x
      join resolver.watch w on w.input = x.subject and w.derivation + 0 > x.after and w.derivation + 0 <= x.upto;
    perform resolver.reevaluate_readiness(v_watchers, v_after);
end
$$;

comment on function resolver.notify_watchers_along(resolver.edge_range[]) is
    'A part of the derivations that wait for outputs of these look at their inputs again.';
