-- fail_one(lease, report): one element of fail_steps, once its lease was checked.
--
-- Returns   done, or retried
-- Locks     the caller holds the graph lock.
create or replace function resolver.fail_one(p_lease bigint, p_report jsonb) returns text
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_lease resolver.lease;
    v_tries integer;
    v_again boolean;
begin
    select * into v_lease from resolver.lease l where l.lease = p_lease;
    select s.tries + 1 into v_tries from resolver.derivation_state s where s.derivation = v_lease.derivation;
    v_again := p_report ->> 'class' = 'transient' and v_tries < 5;

    perform resolver.end_step(v_lease, (p_report ->> 'status')::integer, p_report);
    perform resolver.close_lease(p_lease, case when v_again then 'retried' else 'failed' end, md5(p_report::text));
    if v_again then
        update resolver.derivation_state s
           set stage = 'buildable', lease = null, tries = v_tries,
               not_before = resolver.clock() + interval '60 seconds' * 3 ^ (v_tries - 1)
         where s.derivation = v_lease.derivation;
        return 'retried';
    end if;
    perform resolver.record_failure(v_lease.derivation, p_report ->> 'class', (p_report ->> 'status')::integer,
                                    p_report ->> 'message', v_lease.build, v_lease.stepnr);
    return 'done';
end
$$;

comment on function resolver.fail_one(bigint, jsonb) is 'One build failed: another try, or the failure and its reach.';
