-- lock_products(build): locks the rows of its outputs, products and metrics, which its end replaces.
--
-- Returns   whether all locks were free: no session may wait for them under the graph lock.
-- Locks     the rows, SKIP LOCKED; the caller holds the row of Builds, so that no other transaction adds any.
create or replace function resolver.lock_products(p_build integer) returns boolean
    language plpgsql volatile
    set search_path = pg_catalog, public, pg_temp
as $$
declare
    v_free bigint;
begin
    select count(*) into v_free
      from (select from public.BuildOutputs o where o.build = p_build for update skip locked) x;
    if v_free < (select count(*) from public.BuildOutputs o where o.build = p_build) then
        return false;
    end if;
    select count(*) into v_free
      from (select from public.BuildProducts p where p.build = p_build for update skip locked) x;
    if v_free < (select count(*) from public.BuildProducts p where p.build = p_build) then
        return false;
    end if;
    select count(*) into v_free
      from (select from public.BuildMetrics m where m.build = p_build for update skip locked) x;
    return v_free = (select count(*) from public.BuildMetrics m where m.build = p_build);
end
$$;

comment on function resolver.lock_products(integer) is
    'Locks the rows that the end of a build replaces; false if another transaction holds one of them.';
revoke all on function resolver.lock_products(integer) from public;
