-- fail_without_attempt(derivation, failure): {"class", "status", "message"}: the derivation can never be loaded, resolved or built, and fails.
--
-- Stages    unloaded, waiting, resolvable, buildable -> failed
-- Locks     the caller holds the graph lock.
-- Notifies  step_finished
-- A step row on the account of its build shows the reason. The row is never busy, since no attempt was started.
create or replace function resolver.fail_without_attempt(p_derivation bigint, p_failure jsonb) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_build  integer := resolver.attributed_build(p_derivation);
    v_stepnr integer;
begin
    select r.stepnr into v_stepnr
      from resolver.record_steps(array[row(v_build, p_derivation, 0, 0, (p_failure ->> 'status')::integer,
                                           p_failure ->> 'message', null, null)::resolver.new_step]) r;
    if found then
        perform pg_notify('step_finished', v_build || E'\t' || v_stepnr || E'\t-');
    end if;
    perform resolver.record_failure(p_derivation, p_failure ->> 'class', (p_failure ->> 'status')::integer,
                                    p_failure ->> 'message', v_build, v_stepnr);
end
$$;

comment on function resolver.fail_without_attempt(bigint, jsonb) is 'A derivation fails before any attempt at building it.';
