-- next_edge_ranges(kind, subjects, after, limit): returns the neighbours of these that a propagation of that kind reaches now, at most so many.
--
-- Neighbours are inputs (want, raise, settle), watchers (wake), derivations with a chain (chain), derivations that failed because of
-- the subject (clear), followers (follow), else dependents. They are taken in the order of their numbers, after the numbers in p_after
-- (null: from the beginning).
-- Returns   a stretch for each subject that was reached. The other subjects, and the rest of the last one, go onto the work list.
-- Locks     the caller holds the graph lock.
-- The inner limits and the outer one stop the nested loops early: a subject with a million neighbours costs no more than the limit.
create or replace function resolver.next_edge_ranges(p_kind text, p_subjects bigint[], p_after bigint[], p_limit integer)
    returns resolver.edge_range[]
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_inputs    boolean := p_kind in ('want', 'raise', 'settle');
    v_watchers  boolean := p_kind = 'wake';
    v_chains    boolean := p_kind = 'chain';
    v_failed    boolean := p_kind = 'clear';
    v_followers boolean := p_kind = 'follow';
    v_others    boolean := not (v_inputs or v_watchers or v_chains or v_failed or v_followers);
    v_found     resolver.edge_range[];
    v_last      bigint;
    v_all       bigint;
begin
    select array_agg(row(f.subject, f.after, coalesce(f.last, f.after), f.n, true)::resolver.edge_range order by f.nr), max(f.nr), sum(f.n)
      into v_found, v_last, v_all
      from (select e.nr, e.subject, e.after, max(e.neighbour) as last, count(*)::integer as n
              from (select x.nr, x.subject, x.after, n.neighbour
                      from (select u.subject, coalesce(u.after, 0) as after, u.nr
                              from unnest(p_subjects, p_after) with ordinality u (subject, after, nr)) x
                      left join lateral (
                           (select dep.input as neighbour from resolver.dependency dep
                             where v_inputs and dep.derivation = x.subject and dep.input > x.after
                             order by dep.input limit p_limit)
                           union all
                           (select dep.derivation from resolver.dependency dep
                             where v_others and dep.input = x.subject and dep.derivation + 0 > x.after
                             order by dep.derivation + 0 limit p_limit)
                           union all
                           (select w.derivation from resolver.watch w
                             where v_watchers and w.input = x.subject and w.derivation + 0 > x.after
                             order by w.derivation + 0 limit p_limit)
                           union all
                           (select c.derivation from resolver.chain c
                             where v_chains and c.input = x.subject and c.derivation + 0 > x.after
                             order by c.derivation + 0 limit p_limit)
                           union all
                           (select s.derivation from resolver.derivation_state s
                             where v_failed and s.failed_dependency = x.subject and s.failed_dependency > 0 and s.derivation + 0 > x.after
                             order by s.derivation + 0 limit p_limit)
                           union all
                           (select s.derivation from resolver.derivation_state s
                             where v_followers and s.stage = 'resolved' and s.resolved_to = x.subject and s.resolved_to > 0 and s.derivation + 0 > x.after
                             order by s.derivation + 0 limit p_limit)) n on true
                     limit p_limit) e
             group by e.nr, e.subject, e.after) f;
    if v_all < p_limit or v_all is null then
        return coalesce(v_found, '{}');
    end if;
    v_found[v_last].whole := v_found[v_last].upto = v_found[v_last].after;
    insert into resolver.propagation as w (kind, subject, after)
    select p_kind, x.subject, case when x.nr = v_last then v_found[v_last].upto else coalesce(x.after, 0) end
      from unnest(p_subjects, p_after) with ordinality x (subject, after, nr)
     where x.nr > v_last or x.nr = v_last and not v_found[v_last].whole
    on conflict (kind, subject) do update set after = least(w.after, excluded.after);
    return v_found;
end
$$;

comment on function resolver.next_edge_ranges(text, bigint[], bigint[], integer) is
    'A bounded part of the neighbours of some derivations, for a propagation over the graph; the rest goes onto the work list.';
revoke all on function resolver.next_edge_ranges(text, bigint[], bigint[], integer) from public;
