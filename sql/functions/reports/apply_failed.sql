-- apply_failed(reports): applies reports of failed builds, for the claims that are open: see fail_steps().
--
-- Stages    building -> failed, buildable, waiting (an input was lost meanwhile)
-- Locks     the caller holds the graph lock.
create or replace function resolver.apply_failed(p_reports jsonb) returns resolver.answer[]
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_reports resolver.report[];
    v_failed  resolver.report[];
begin
    v_reports := array(
        select row(r.lease, r.derivation, r.build, r.stepnr,
                   case when r.outcome <> 'open' then r.outcome
                        when b.detail is not null then 'refused'
                        when r.body ->> 'class' = 'cancelled' or resolver.is_retried(r.derivation, r.body) then 'retried'
                        else 'done' end, b.detail, r.digest, r.body)::resolver.report
          from unnest(resolver.match_reports(p_reports, 'build')) r
         cross join lateral (
              select case when r.outcome = 'open'
                           and (coalesce(r.body ->> 'class', '') not in ('builder', 'transient', 'timeout', 'unsupported', 'cancelled')
                                or r.body ->> 'status' is null)
                          then 'the report has no known class, or no status' end as detail) b);
    perform resolver.failpoint('fail_steps: judged');
    v_failed := array(select r from unnest(v_reports) r where r.outcome in ('done', 'retried'));
    perform resolver.close_leases(v_failed);
    perform resolver.end_steps(v_failed);
    update resolver.derivation_state s
       set stage = 'buildable', lease = null, tries = s.tries + (r.body ->> 'class' = 'transient')::integer,
           not_before = case when r.body ->> 'class' = 'transient' then resolver.clock() + x.retry_delay * 3 ^ s.tries end
      from unnest(v_failed) r cross join resolver.setting x
     where s.derivation = r.derivation and r.outcome = 'retried';
    -- If it failed because its inputs were lost, no derivation waits for it, and the next dependent must not wait for a back-off.
    perform resolver.find_owners(array(
        select s.derivation from unnest(v_failed) r join resolver.derivation_state s on s.derivation = r.derivation
         where r.outcome = 'retried'
           and exists (select from resolver.resolution x where x.resolved = s.derivation and x.released_at is not null)));
    update resolver.derivation_state s set not_before = null
      from unnest(v_failed) r where s.derivation = r.derivation and r.outcome = 'retried' and s.owner is null;
    perform resolver.reevaluate_readiness(array(select r.derivation from unnest(v_failed) r where r.outcome = 'retried'));
    perform resolver.start_propagations('want', array(
        select s.derivation
          from unnest(v_failed) r join resolver.derivation_state s on s.derivation = r.derivation and s.stage = 'waiting'));
    perform resolver.record_failure(r.derivation, r.body ->> 'class', (r.body ->> 'status')::integer,
                                    r.body ->> 'message', r.build, r.stepnr)
       from unnest(v_failed) r
      where r.outcome = 'done';
    return array(select row(r.lease, r.outcome, r.detail)::resolver.answer from unnest(v_reports) r);
end
$$;

comment on function resolver.apply_failed(jsonb) is 'Applies reports of builds that failed.';
revoke all on function resolver.apply_failed(jsonb) from public;
