-- record_failure(...): a derivation failed for good, and with it those that were resolved to it.
--
-- Stages    the derivation, and its followers -> failed
-- Locks     the caller holds the graph lock. Dependents and goals learn of it by a walk: see continue_walks().
create or replace function resolver.record_failure(
    p_derivation bigint, p_class text, p_status integer, p_message text, p_build integer, p_stepnr integer
) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_followers bigint[];
begin
    update resolver.failure f set cleared = resolver.clock() where f.derivation = p_derivation and f.cleared is null;
    insert into resolver.failure (derivation, class, status, message, build, stepnr, time)
    values (p_derivation, p_class, p_status, p_message, p_build, p_stepnr, resolver.clock());

    delete from resolver.watch w where w.derivation = p_derivation;
    update resolver.derivation_state s
       set stage = 'failed', lease = null, resolved_to = null, failed_dependency = null, not_before = null
     where s.derivation = p_derivation;
    perform resolver.end_claims(array[p_derivation]);

    v_followers := array(select s.derivation from resolver.derivation_state s
                          where s.resolved_to = p_derivation and s.stage = 'resolved');
    update resolver.derivation_state s
       set stage = 'failed', resolved_to = null, failed_dependency = p_derivation
     where s.derivation = any (v_followers);

    insert into resolver.walk (kind, derivation)
    select 'fail', x from unnest(v_followers || p_derivation) x
    on conflict do nothing;
end
$$;

comment on function resolver.record_failure(bigint, text, integer, text, integer, integer) is
    'Marks a derivation and its followers as failed, and starts the walk to what depends on them.';
