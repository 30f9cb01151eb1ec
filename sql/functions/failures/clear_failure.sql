-- clear_failure(derivation, reopening): a failed derivation is tried again.
--
-- Argument  reopening: a user asked for it, so all builds that ended by this failure alone are restarted: see restart_affected_builds().
-- Stages    failed -> unloaded
-- Notifies  derivation_wanted
-- Locks     the caller holds the graph lock. A propagation clears the derivations that failed because of this one.
create or replace function resolver.clear_failure(p_derivation bigint, p_reopening boolean) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    update resolver.failure f set cleared_at = resolver.clock(), is_reopening = p_reopening
     where f.derivation = p_derivation and f.cleared_at is null;
    -- An owner that has ended does not count: the dependents want the derivation again.
    update resolver.derivation_state s
       set stage = 'unloaded', tries = 0, not_before = null, failed_dependency = null,
           owner = g.build, jobset = case when g.build is not null then s.jobset end
      from (select p_derivation as derivation) x
      left join resolver.derivation_state o on o.derivation = x.derivation
      left join resolver.goal g on g.build = o.owner and g.ended_at is null
     where s.derivation = x.derivation and s.stage = 'failed';
    perform resolver.start_propagations('clear', array[p_derivation]);
    perform pg_notify('derivation_wanted', '');
end
$$;

comment on function resolver.clear_failure(bigint, boolean) is
    'A failed derivation becomes unloaded again, and a propagation clears its dependents.';
