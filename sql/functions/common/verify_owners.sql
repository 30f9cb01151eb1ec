-- verify_owners(verb): among those next to be loaded or resolved, finds new owners for derivations whose owner has ended.
--
-- Takes the graph lock only when there is one. A derivation that nobody needs leaves the queue (owner null).
create or replace function resolver.verify_owners(p_verb text) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_stage text := case p_verb when 'load' then 'unloaded' else 'resolvable' end;
    v_stale bigint[];
begin
    loop
        select array_agg(q.derivation) into v_stale
          from (select s.derivation, s.owner from resolver.derivation_state s
                 where (s.stage = v_stage) and s.lease is null and s.owner is not null
                 order by s.global_priority desc, s.priority desc, s.derivation
                 limit 100) q
         where not exists (select from resolver.goal g where g.build = q.owner and g.ended is null);
        if v_stale is null then
            return;
        end if;
        perform resolver.failpoint('verify_owners: found');
        perform resolver.lock_graph();
        perform resolver.replace_ended_owners(v_stale);
    end loop;
end
$$;

comment on function resolver.verify_owners(text) is
    'Derivations at the head of a verb''s queue get an owner that still needs them, or leave the queue.';
