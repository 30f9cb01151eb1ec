-- complete_derivations(ended): the outputs of these derivations are valid: the derivations, and their followers, are realised.
--
-- Stages    the derivations and their followers -> realised; watchers look for their next input; goals end.
-- Locks     the caller holds the graph lock. If there are many followers, a propagation ends the rest; followers that are roots of the builds
--           for which the derivation was built end at once.
create or replace function resolver.complete_derivations(p_ended resolver.ended[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    if cardinality(p_ended) = 0 then
        return;
    end if;
    perform resolver.record_completions(p_ended || array(
        select resolver.as_follower(e, f.derivation)
          from unnest(p_ended) e
          join (select s.derivation, s.resolved_to
                  from unnest(resolver.next_edge_ranges('follow', array(select e.derivation from unnest(p_ended) e), null, 100)) x
                 cross join lateral (select f.derivation, f.resolved_to from resolver.derivation_state f
                                      where f.resolved_to = x.subject and f.resolved_to > 0 and f.stage = 'resolved'
                                        and f.derivation + 0 > x.after and f.derivation + 0 <= x.upto offset 0) s
                union
                select s.derivation, s.resolved_to
                  from unnest(p_ended) e
                  join resolver.goal g on g.build = e.built_for
                  join resolver.derivation_state s on s.derivation = g.root and s.resolved_to = e.derivation and s.stage = 'resolved') f
            on f.resolved_to = e.derivation
         order by f.derivation));
end
$$;

comment on function resolver.complete_derivations(resolver.ended[]) is
    'Outputs of derivations are valid: realises the derivations and their followers, wakes watchers, ends goals.';
