-- verify_owners(verb): derivations at the head of the queue for load or resolve whose owner has ended get new owners.
--
-- Returns   whether there is anything to claim.
-- Takes the graph lock only if an owner has ended. A derivation that no build needs leaves the queue (owner null). If the whole head
-- of the queue leaves it, the next claim handles the rest.
create or replace function resolver.verify_owners(p_verb text) returns boolean
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_all   bigint;
    v_stale bigint[];
begin
    for v_round in 1..2 loop
        -- One query for each verb: only a literal stage lets the planner use the partial index.
        select count(*), array_agg(q.derivation) filter (where not exists (select from resolver.goal g
                                                                            where g.build = q.owner and g.ended_at is null))
          into v_all, v_stale
          from ((select s.derivation, s.owner from resolver.derivation_state s
                  where p_verb = 'load' and s.stage = 'unloaded' and s.lease is null and s.owner > 0
                  order by s.global_priority desc, s.priority desc, s.derivation
                  limit 50)
                union all
                (select s.derivation, s.owner from resolver.derivation_state s
                  where p_verb = 'resolve' and s.stage = 'resolvable' and s.lease is null and s.owner > 0
                  order by s.global_priority desc, s.priority desc, s.derivation
                  limit 50)) q;
        exit when v_stale is null;
        perform resolver.failpoint('verify_owners: found');
        perform resolver.lock_graph();
        perform resolver.find_owners(v_stale);
    end loop;
    if v_stale is not null then
        perform pg_notify(case p_verb when 'load' then 'derivation_wanted' else 'dependency_ready' end, '');
    end if;
    return v_all > 0;
end
$$;

comment on function resolver.verify_owners(text) is
    'Derivations at the head of a verb''s queue get an owner that still needs them, or leave the queue.';
