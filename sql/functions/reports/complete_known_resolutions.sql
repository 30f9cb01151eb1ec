-- complete_known_resolutions(reports, resolved): if a resolved derivation has failed, or has all wanted outputs already, the followers end.
-- If it has only some of the wanted outputs, the followers get these, and wait for the others.
--
-- Stages    resolved -> realised; a resolved derivation that may be tried again: failed -> unloaded
-- Locks     the caller holds the graph lock. If a resolved derivation has failed, a propagation ends its followers.
create or replace function resolver.complete_known_resolutions(p_reports resolver.report[], p_resolved bigint[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_ended resolver.ended[];
    v_known bigint[] := array(select s.derivation from resolver.derivation_state s where s.derivation = any (p_resolved) and s.stage = 'realised');
begin
    perform resolver.clear_failure(f.derivation, false)
       from resolver.failure f
      where f.derivation = any (p_resolved) and f.cleared_at is null
        and (f.class <> 'builder'
             or not exists (select from resolver.output o where o.derivation = f.derivation and o.valid_since is null));

    v_ended := array(
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
                                  then resolver.checked_info(r.body -> 'info') end as info) i
                 order by x.resolved, i.info nulls last) x
         where exists (select from resolver.output o where o.derivation = x.resolved and o.valid_since is not null));
    perform resolver.complete_derivations(array(select e from unnest(v_ended) e where e.derivation <> all (v_known)));
    -- If a derivation was realised before, it ended its earlier followers then.
    perform resolver.record_completions(array(
        select resolver.as_follower(e, r.derivation)
          from unnest(p_reports) with ordinality r (lease, derivation, b, n, outcome, detail, digest, body, nr)
          join unnest(p_resolved) with ordinality x (resolved, nr) on x.nr = r.nr
          join unnest(v_ended) e on e.derivation = x.resolved and e.derivation = any (v_known)
         order by r.derivation));
    perform resolver.start_propagations('follow', array(
        select s.derivation from resolver.derivation_state s where s.derivation = any (p_resolved) and s.stage = 'failed'));
end
$$;

comment on function resolver.complete_known_resolutions(resolver.report[], bigint[]) is
    'Early cut-off, and cached failures: derivations end at once with their resolved derivations.';
