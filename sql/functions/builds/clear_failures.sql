-- clear_failures(): what was remembered as failing is tried again by the next build that wants it, two hundred at a time.
--
-- Builds that have ended stay as they ended, unlike those that restart_build() has restarted together.
-- Returns   whether there is more.
-- Stages    failed -> unloaded
-- Locks     the graph lock
create or replace function resolver.clear_failures() returns boolean
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_limit  constant integer := 200;
    v_failed bigint[];
begin
    perform resolver.lock_graph();
    v_failed := array(select f.derivation from resolver.failure f
                       where f.cleared_at is null and f.class = 'builder'
                       order by f.derivation limit v_limit);
    perform resolver.clear_failure(x, false) from unnest(v_failed) x;
    perform resolver.run_deferred_work(20);
    return cardinality(v_failed) = v_limit;
end
$$;

comment on function resolver.clear_failures() is 'Forgets what is known to fail, without restarting any build; true when it should be called again.';
revoke all on function resolver.clear_failures() from public;
