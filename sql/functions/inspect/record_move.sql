-- record_move(): a trigger that writes the move of a derivation to history, in the transaction that makes the move.
--
-- keep_history() puts it on derivation_state. It runs after the statement that makes the move, with the rights of its caller.
create or replace function resolver.record_move() returns trigger
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_context text;
    v_callers text[];
begin
    get diagnostics v_context = pg_context;
    v_callers := (resolver.calling_functions(v_context))[2:];
    insert into resolver.history (transaction, time, procedure, function, derivation, from_stage, to_stage, from_lease,
                                  to_lease, owner, resolved_to)
    values (pg_current_xact_id()::text::bigint, resolver.clock(), v_callers[cardinality(v_callers)], v_callers[1],
            new.derivation, old.stage, new.stage, old.lease, new.lease, new.owner, new.resolved_to);
    return null;
end
$$;

comment on function resolver.record_move() is 'Trigger: writes to history that a derivation has another stage, lease or resolution.';
