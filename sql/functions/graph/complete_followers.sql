-- complete_followers(stretches): derivations that were resolved to these end in the same way: realised, or failed.
--
-- Stages    resolved -> realised, failed
-- Locks     the caller holds the graph lock. A propagation reaches the dependents and goals of followers that fail.
create or replace function resolver.complete_followers(p_ranges resolver.edge_range[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform resolver.record_completions(array(
        select row(s.derivation, s.resolved_to, null, null)::resolver.ended
          from unnest(p_ranges) x
         cross join lateral (select f.derivation, f.resolved_to from resolver.derivation_state f
                              where f.resolved_to = x.subject and f.resolved_to > 0 and f.stage = 'resolved'
                                and f.derivation + 0 > x.after and f.derivation + 0 <= x.upto offset 0) s
         where exists (select from resolver.output o where o.derivation = x.subject and o.valid_since is not null)
         order by s.derivation));
    with failed as (
        update resolver.derivation_state s set stage = 'failed', resolved_to = null, failed_dependency = x.subject
          from (select f.derivation, x.subject
                  from unnest(p_ranges) x
                  join resolver.derivation_state r on r.derivation = x.subject and r.stage = 'failed'
                 cross join lateral (select q.derivation, q.resolved_to from resolver.derivation_state q
                                      where q.resolved_to = x.subject and q.resolved_to > 0 and q.stage = 'resolved'
                                        and q.derivation + 0 > x.after and q.derivation + 0 <= x.upto offset 0) f) x
         where s.derivation = x.derivation
        returning s.derivation
    )
    insert into resolver.propagation as w (kind, subject) select 'fail', f.derivation from failed f
    on conflict (kind, subject) do update set after = 0 where w.after > 0;
end
$$;

comment on function resolver.complete_followers(resolver.edge_range[]) is
    'Derivations end in the same way as the derivation that they were resolved to.';
revoke all on function resolver.complete_followers(resolver.edge_range[]) from public;
