-- propagate_retry(stretches): derivations that failed because of these look at their inputs again.
--
-- Stages    failed (followers) -> unloaded; waiting stays waiting, and may find another failed input
-- Locks     the caller holds the graph lock. Cleared derivations go on the work list.
create or replace function resolver.propagate_retry(p_ranges resolver.edge_range[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_waiting bigint[];
    v_cleared bigint[];
begin
    with cleared as (
        update resolver.derivation_state s
           set failed_dependency = null,
               stage = case when s.stage = 'failed' then 'unloaded' else s.stage end
          from unnest(p_ranges) x
         where s.failed_dependency = x.subject and s.failed_dependency > 0 and s.derivation + 0 > x.after and s.derivation + 0 <= x.upto
           and s.stage in ('failed', 'waiting')
        returning s.derivation, s.stage
    )
    select array_agg(c.derivation), array_agg(c.derivation) filter (where c.stage = 'waiting') into v_cleared, v_waiting from cleared c;
    if v_cleared is null then
        return;
    end if;
    perform resolver.find_owners(array(
        select s.derivation from resolver.derivation_state s
         where s.derivation = any (v_cleared) and s.stage = 'unloaded'
           and (select g.ended_at is null from resolver.goal g where g.build = s.owner) is not true));
    perform resolver.reevaluate_readiness(v_waiting);

    perform resolver.start_propagations('clear', array(
        select s.derivation from resolver.derivation_state s
         where s.derivation = any (v_cleared) and s.failed_dependency is null));
    perform resolver.start_propagations('want', array(
        select s.derivation from resolver.derivation_state s
         where s.derivation = any (v_waiting) and s.failed_dependency is null and s.owner is not null));
end
$$;

comment on function resolver.propagate_retry(resolver.edge_range[]) is
    'After a restart: followers are loaded again, and dependents drop their failed dependency.';
