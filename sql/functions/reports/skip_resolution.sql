-- skip_resolution(derivations): these derivations resolve to themselves.
--
-- Stages    resolvable -> buildable
-- Notifies  step_ready
create or replace function resolver.skip_resolution(p_derivations bigint[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    if cardinality(p_derivations) > 0 then
        update resolver.derivation_state s set stage = 'buildable' where s.derivation = any (p_derivations);
        update resolver.derivation d set must_resolve = false where d.derivation = any (p_derivations);
        perform pg_notify('step_ready', '');
    end if;
end
$$;

comment on function resolver.skip_resolution(bigint[]) is 'Derivations in which nothing has to be replaced become buildable.';
