-- start_propagations(kind, subjects): puts subjects on the work list; a propagation that is on it already begins again.
--
-- Locks     the caller holds the graph lock.
create or replace function resolver.start_propagations(p_kind text, p_subjects bigint[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    if p_subjects <> '{}' then
        insert into resolver.propagation as w (kind, subject)
        select p_kind, x from unnest(p_subjects) x group by x
        on conflict (kind, subject) do update set after = 0 where w.after > 0;
    end if;
end
$$;

comment on function resolver.start_propagations(text, bigint[]) is 'Adds propagations to the work list: see run_propagations().';
revoke all on function resolver.start_propagations(text, bigint[]) from public;
