-- fail_step(lease, report): the singular form of fail_steps, for people: raises an error instead of returning an outcome.
--
-- Raises    NX011 lease_lost, NX012 refused
create or replace function resolver.fail_step(p_lease bigint, p_report jsonb) returns void
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_answer record;
begin
    select * into v_answer
      from resolver.fail_steps(jsonb_build_array(p_report || jsonb_build_object('lease', p_lease)));
    perform resolver.raise_report_error(v_answer.outcome, v_answer.detail, p_lease);
end
$$;

comment on function resolver.fail_step(bigint, jsonb) is 'Reports one failed build; see fail_steps for the form of the report.';
