-- process_reports(kind, reports): applies a report, and does a bounded part of the propagations that it starts.
--
-- Arguments kind: loaded, resolved, finished or failed
-- Returns   (lease, outcome, detail) for each element
-- Locks     the graph lock
-- If an element raises an error, the function refuses that element and applies the others one at a time.
create or replace function resolver.process_reports(p_kind text, p_reports jsonb) returns setof resolver.answer
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_answers resolver.answer[];
    v_report  jsonb;
begin
    if jsonb_typeof(p_reports) is distinct from 'array' or jsonb_array_length(p_reports) > 100 then
        raise exception 'a report is an array of at most 100 elements'
            using errcode = 'NX020',
                  detail = case when jsonb_typeof(p_reports) = 'array' then format('It has %s.', jsonb_array_length(p_reports))
                                else format('It is %s.', coalesce('of type ' || jsonb_typeof(p_reports), 'null')) end,
                  hint = 'Report in parts, one element for each claim.';
    end if;
    perform resolver.lock_graph();
    begin
        v_answers := resolver.apply_reports(p_kind, p_reports);
    exception when others then
        if resolver.is_transient_error(sqlstate) then
            raise;
        end if;
        v_answers := '{}';
        for v_report in select e.report from jsonb_array_elements(p_reports) e (report)
        loop
            begin
                v_answers := v_answers || resolver.apply_reports(p_kind, jsonb_build_array(v_report));
            exception when others then
                if resolver.is_transient_error(sqlstate) then
                    raise;
                end if;
                v_answers := v_answers || row(resolver.lease_of(v_report), 'refused', sqlerrm)::resolver.answer;
            end;
        end loop;
    end;
    perform resolver.run_deferred_work(50);
    return query select a.lease, a.outcome, a.detail from unnest(v_answers) a;
end
$$;

comment on function resolver.process_reports(text, jsonb) is
    'Applies a report. If an element cannot be applied, it is refused, and the other elements are applied.';
revoke all on function resolver.process_reports(text, jsonb) from public;
