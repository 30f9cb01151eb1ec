-- clear_failures(): clears cached failures, two hundred at a time: the next build that wants such a derivation tries it again.
--
-- Builds that have ended stay ended, unlike the builds that restart_build() restarts together.
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

comment on function resolver.clear_failures() is 'Clears cached failures, without restarting any build; true if it should be called again.';
revoke all on function resolver.clear_failures() from public;
