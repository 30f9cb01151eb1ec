-- keep_history(keep): starts or stops writing every move of a derivation to resolver.history.
--
-- Before the first call, our tables have no triggers. After that the triggers are disabled and enabled, never dropped: a drop would
-- wait for all readers, and these may wait for the graph lock.
-- Locks     the graph lock, then SHARE ROW EXCLUSIVE on derivation_state and output: it waits for claims that are under way
create or replace function resolver.keep_history(p_keep boolean) returns void
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform resolver.lock_graph();
    if p_keep then
        create or replace trigger history_move after update on resolver.derivation_state for each row
            when (old.stage <> new.stage or old.lease is distinct from new.lease or old.resolved_to is distinct from new.resolved_to)
            execute function resolver.record_move();
        create or replace trigger history_new_output after insert on resolver.output for each row
            when (new.is_wanted or new.valid_since is not null)
            execute function resolver.record_output_change();
        create or replace trigger history_output after update on resolver.output for each row
            when ((old.valid_since is null) <> (new.valid_since is null) or old.is_wanted <> new.is_wanted
                  or new.valid_since is not null and old.path <> new.path)
            execute function resolver.record_output_change();
    elsif exists (select from pg_trigger t where t.tgrelid = 'resolver.output'::regclass and t.tgname = 'history_output') then
        alter table resolver.derivation_state disable trigger history_move;
        alter table resolver.output disable trigger history_new_output, disable trigger history_output;
    end if;
end
$$;

comment on function resolver.keep_history(boolean) is 'Switches the record of all moves on or off: see resolver.history.';
