-- record_output_change(): a trigger that writes to history that an output became valid, was lost, or became wanted.
--
-- keep_history() puts it on output. With these rows, a derivation that becomes ready can be compared with the outputs that were
-- valid at that moment.
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

comment on function resolver.record_output_change() is 'Trigger: writes the new state of an output to history.';
