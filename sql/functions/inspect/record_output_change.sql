-- record_output_change(): a trigger: an output that became valid, or was lost, or is wanted now, becomes a row of history.
--
-- keep_history() puts it on output. What becomes ready can so be compared with what was valid at that moment.
create or replace function resolver.record_output_change() returns trigger
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_context text;
    v_callers text[];
begin
    get diagnostics v_context = pg_context;
    v_callers := (resolver.calling_functions(v_context))[2:];
    insert into resolver.history (transaction, time, procedure, function, derivation, output, path, valid, is_wanted)
    values (pg_current_xact_id()::text::bigint, resolver.clock(), v_callers[cardinality(v_callers)], v_callers[1],
            new.derivation, new.name, new.path, new.valid_since is not null, new.is_wanted);
    return null;
end
$$;

comment on function resolver.record_output_change() is 'Trigger: writes to history what is known of an output now.';
