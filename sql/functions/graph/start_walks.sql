-- start_walks(kind, subjects): puts them on the work list; one that is on it begins again.
--
-- Locks     the caller holds the graph lock.
create or replace function resolver.start_walks(p_kind text, p_subjects bigint[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    if p_subjects <> '{}' then
        insert into resolver.walk as w (kind, subject)
        select p_kind, x from unnest(p_subjects) x group by x
        on conflict (kind, subject) do update set after = 0 where w.after > 0;
    end if;
end
$$;

comment on function resolver.start_walks(text, bigint[]) is 'Adds walks to the work list: see continue_walks().';
revoke all on function resolver.start_walks(text, bigint[]) from public;
