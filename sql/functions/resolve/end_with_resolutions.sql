-- end_with_resolutions(reports, resolved): what was resolved to has failed, or has all outputs already that are wanted: so it is over.
-- What has only some of them is waited for; these are served meanwhile.
--
-- Stages    resolved -> realised, failed; a resolved derivation that may be tried again: failed -> unloaded
-- Locks     the caller holds the graph lock.
create or replace function resolver.end_with_resolutions(p_reports resolver.report[], p_resolved bigint[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform resolver.clear_failure(f.derivation, false)
       from resolver.failure f
      where f.derivation = any (p_resolved) and f.cleared is null
        and (f.class <> 'builder'
             or not exists (select from resolver.output o where o.derivation = f.derivation and o.valid_since is null));

    perform resolver.realise(array(
        select row(x.resolved, x.resolved, x.info, null)::resolver.ended
          from (select distinct on (x.resolved) x.resolved, i.info
                  from unnest(p_reports) with ordinality r (lease, derivation, b, n, outcome, detail, digest, body, nr)
                  join unnest(p_resolved) with ordinality x (resolved, nr) on x.nr = r.nr
                 cross join lateral (
                      select case when r.body -> 'info' <> 'null'
                                   and not exists (
                                        select from resolver.output o
                                         where o.derivation = x.resolved
                                           and (o.valid_since is null
                                                or not coalesce(r.body -> 'resolved' -> 'confirmed' ? o.path
                                                                or r.body -> 'resolved' -> 'outputs' @> jsonb_build_array(
                                                                       jsonb_build_object('name', o.name, 'path', o.path)), false)))
                                  then r.body -> 'info' end as info) i
                 order by x.resolved, i.info nulls last) x
         where exists (select from resolver.output o where o.derivation = x.resolved and o.valid_since is not null)));

    with failed as (
        update resolver.derivation_state s
           set stage = 'failed', resolved_to = null, failed_dependency = s.resolved_to
          from resolver.derivation_state r
         where s.resolved_to = any (p_resolved) and s.stage = 'resolved'
           and r.derivation = s.resolved_to and r.stage = 'failed'
        returning s.derivation
    )
    insert into resolver.walk (kind, derivation) select 'fail', f.derivation from failed f on conflict do nothing;
end
$$;

comment on function resolver.end_with_resolutions(resolver.report[], bigint[]) is
    'Early cut-off, and cached failures: derivations end at once with what they resolve to.';
