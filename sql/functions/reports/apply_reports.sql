-- apply_reports(kind, reports): applies all elements, or raises an error.
create or replace function resolver.apply_reports(p_kind text, p_reports jsonb) returns resolver.answer[]
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    return case p_kind
        when 'loaded' then resolver.apply_loaded(p_reports)
        when 'resolved' then resolver.apply_resolved(p_reports)
        when 'finished' then resolver.apply_finished(p_reports)
        when 'failed' then resolver.apply_failed(p_reports) end;
end
$$;

comment on function resolver.apply_reports(text, jsonb) is 'Applies a report of one of the four kinds.';
revoke all on function resolver.apply_reports(text, jsonb) from public;
