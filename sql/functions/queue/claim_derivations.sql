-- claim_derivations(worker, verb, limit): gives the worker up to that many derivations, each under a new lease.
--
-- Stages    buildable -> building; unloaded and resolvable stay, leased
-- Locks     build: the graph lock; load, resolve: the claimed rows, SKIP LOCKED
-- Raises    NX016 if the worker is not registered, NX019 for any other verb
-- Notifies  step_started, build_started (build)
create or replace function resolver.claim_derivations(p_worker integer, p_verb text, p_limit integer)
    returns table (lease bigint, drv text, build integer, stepnr integer, root boolean, inputs jsonb, known jsonb,
                   max_silent integer, timeout integer)
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform resolver.limit_idle_transaction();
    if not exists (select from resolver.worker w where w.worker = p_worker and w.gone_at is null) then
        raise exception 'the worker is not registered'
            using errcode = 'NX016', detail = format('Worker %s is unknown, has left, or was silent for too long.', p_worker),
                  hint = 'Stop its builds, drop its claims, and register again.';
    end if;
    if p_verb not in ('load', 'resolve', 'build') then
        raise exception 'there is no such verb'
            using errcode = 'NX019', detail = format('%L.', p_verb), hint = 'Claim for load, resolve or build.';
    end if;
    perform resolver.failpoint('claim_derivations: the worker lives');
    if p_verb = 'build' then
        return query select * from resolver.claim_builds(p_worker, p_limit);
    elsif resolver.verify_owners(p_verb) then
        return query select * from resolver.claim_graph_work(p_worker, p_verb, p_limit);
    end if;
end
$$;

comment on function resolver.claim_derivations(integer, text, integer) is
    'Claims derivations for load, resolve or build, with all data that the verb needs.';
