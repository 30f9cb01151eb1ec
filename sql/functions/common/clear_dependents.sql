-- clear_dependents(derivations): these are to be tried again: what had failed for their sake looks at its inputs anew.
--
-- Stages    failed (followers) -> unloaded; waiting stays waiting, and may find another failed input
-- Locks     the caller holds the graph lock. What is clear now goes on the work list.
create or replace function resolver.clear_dependents(p_derivations bigint[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_waiting   bigint[];
    v_followers bigint[];
begin
    v_followers := array(select s.derivation from resolver.derivation_state s
                          where s.failed_dependency = any (p_derivations) and s.stage = 'failed');
    v_waiting := array(select s.derivation from resolver.derivation_state s
                        where s.failed_dependency = any (p_derivations) and s.stage = 'waiting');

    update resolver.derivation_state s
       set failed_dependency = null,
           stage = case when s.stage = 'failed' then 'unloaded' else s.stage end
     where s.derivation = any (v_followers || v_waiting);
    perform resolver.settle(v_waiting);

    insert into resolver.walk (kind, derivation)
    select 'clear', s.derivation from resolver.derivation_state s
     where s.derivation = any (v_followers || v_waiting) and s.failed_dependency is null
    on conflict do nothing;
    insert into resolver.walk (kind, derivation)
    select 'want', s.derivation from resolver.derivation_state s
     where s.derivation = any (v_waiting) and s.failed_dependency is null and s.owner is not null
    on conflict do nothing;
end
$$;

comment on function resolver.clear_dependents(bigint[]) is
    'After a restart: followers are loaded again, dependents forget their failed dependency.';
