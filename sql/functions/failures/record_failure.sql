-- record_failure(...): records that a derivation failed for good.
--
-- Stages    the derivation -> failed
-- Locks     the caller holds the graph lock. Propagations reach followers, dependents and goals: see run_propagations().
create or replace function resolver.record_failure(
    p_derivation bigint, p_class text, p_status integer, p_message text, p_build integer, p_stepnr integer
) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    update resolver.failure f set cleared_at = resolver.clock() where f.derivation = p_derivation and f.cleared_at is null;
    insert into resolver.failure (derivation, class, status, message, build, stepnr, time)
    values (p_derivation, p_class, p_status, p_message, p_build, p_stepnr, resolver.clock());

    delete from resolver.watch w where w.derivation = p_derivation;
    update resolver.derivation_state s
       set stage = 'failed', lease = null, resolved_to = null, failed_dependency = null, not_before = null
     where s.derivation = p_derivation;
    perform resolver.close_leases_of(array[p_derivation]);
    perform resolver.start_propagations(k, array[p_derivation]) from unnest('{follow,fail}'::text[]) k;
end
$$;

comment on function resolver.record_failure(bigint, text, integer, text, integer, integer) is
    'Marks a derivation as failed, and starts the propagations to the derivations and goals that end with it.';
