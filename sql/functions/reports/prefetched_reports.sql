-- prefetched_reports(reports): returns elements without a lease whose derivations wait to be loaded now, and are not claimed.
--
-- A worker that reads ahead knows neither the records of a derivation nor the needs of a root. So only derivations count that were
-- never loaded, and that are the root of no build.
-- Locks     rows of derivation_state, SKIP LOCKED, since load is claimed without the graph lock; the caller holds the graph lock.
create or replace function resolver.prefetched_reports(p_reports jsonb) returns resolver.report[]
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_drvs text[] := array(select e.report ->> 'drv' from jsonb_array_elements(p_reports) e (report)
                            where e.report ->> 'lease' is null);
begin
    if cardinality(v_drvs) = 0 then
        return array[]::resolver.report[];
    end if;
    return array(
        select row(null, s.derivation, null, null, 'done', null, null, e.report)::resolver.report
          from resolver.derivation d
          join resolver.derivation_state s on s.derivation = d.derivation
          join jsonb_array_elements(p_reports) e (report) on e.report ->> 'drv' = d.drv and e.report ->> 'lease' is null
         where d.drv = any (v_drvs) and s.stage = 'unloaded' and s.lease is null and s.owner is not null
           and d.kind is null
           and not exists (select from resolver.goal g where g.root = s.derivation and g.root > 0 and g.ended_at is null)
         order by s.derivation
           for update of s skip locked);
end
$$;

comment on function resolver.prefetched_reports(jsonb) is 'Reports without a claim, about derivations that are wanted by now.';
