-- set_resolved_to(lease, samples, resolved, info): the singular form, for people: raises an error instead of returning an outcome.
--
-- Raises    NX011 lease_lost, NX012 refused, NX013 stale, NX014 confirm
create or replace function resolver.set_resolved_to(p_lease bigint, p_samples jsonb, p_resolved jsonb, p_info jsonb default null)
    returns void
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_answer record;
begin
    select * into v_answer
      from resolver.set_resolved_to(jsonb_build_array(jsonb_build_object(
               'lease', p_lease, 'samples', p_samples, 'resolved', p_resolved, 'info', p_info)));
    perform resolver.raise_report_error(v_answer.outcome, v_answer.detail, p_lease);
end
$$;

comment on function resolver.set_resolved_to(bigint, jsonb, jsonb, jsonb) is
    'One derivation resolves to another; see the plural form for the arguments.';
