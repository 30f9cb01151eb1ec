-- advance(): does a bounded part of the deferred work: propagations over the graph, builds whose row another transaction held, builds
-- that are restarted together with another build.
--
-- Returns   whether there is more. Every worker calls it at its tick, and again while it returns true.
-- Stages    waiting -> failed, for a derivation that waits for itself: see find_cycle()
create or replace function resolver.advance() returns boolean
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    if not exists (select from resolver.propagation) and not exists (select from resolver.lost_path)
       and not exists (select from resolver.failure f where f.is_reopening)
       and not exists (select from resolver.goal g where g.ended_at is not null and g.recorded_at is null)
       and resolver.find_cycle() is null then
        return false;
    end if;
    perform resolver.lock_graph();
    perform resolver.fail_without_attempt(c.derivation, jsonb_build_object('class', 'unsupported', 'status', 1, 'message', 'it needs itself'))
       from resolver.find_cycle() c (derivation)
      where c.derivation is not null;
    return resolver.run_deferred_work(100, p_raise => true);
end
$$;

comment on function resolver.advance() is 'Continues deferred propagations and ends of builds; true if there is more.';
