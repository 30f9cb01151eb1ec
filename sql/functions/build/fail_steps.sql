-- fail_steps(reports): builds that did not succeed: an array, one element for each claim:
--   {"lease", "status", "class", "message", "machine", "log", "overhead", "times_built", "non_deterministic"}
--
-- Returns   (lease, outcome, detail): done; retried: there will be another attempt; already; lease_lost; refused
-- Stages    building -> failed, buildable, waiting (an input was lost meanwhile)
-- Locks     the graph lock
-- Notifies  step_finished, build_finished
-- A transient failure is tried five times, 1, 3, 9 and 27 minutes after one another, unless resolver.setting says otherwise.
-- Of class cancelled is what was ended since nobody needed it any more: who needs it later has it built again.
create or replace function resolver.fail_steps(p_reports jsonb)
    returns table (lease bigint, outcome text, detail text)
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_reports resolver.report[];
    v_failed  resolver.report[];
begin
    perform resolver.lock_graph();
    v_reports := array(
        select row(r.lease, r.derivation, r.build, r.stepnr,
                   case when r.outcome <> 'open' then r.outcome
                        when b.detail is not null then 'refused'
                        when r.body ->> 'class' = 'cancelled' then 'retried'
                        when r.body ->> 'class' = 'transient' and s.tries + 1 < x.max_tries then 'retried'
                        else 'done' end, b.detail, r.digest, r.body)::resolver.report
          from unnest(resolver.open_reports(p_reports, 'build')) r
         cross join lateral (
              select case when r.outcome = 'open'
                           and (coalesce(r.body ->> 'class', '') not in ('builder', 'transient', 'timeout', 'unsupported', 'cancelled')
                                or r.body ->> 'status' is null)
                          then 'the report has no known class, or no status' end as detail) b
          left join resolver.derivation_state s on s.derivation = r.derivation
         cross join resolver.setting x);
    perform resolver.failpoint('fail_steps: judged');
    v_failed := array(select r from unnest(v_reports) r where r.outcome in ('done', 'retried'));
    perform resolver.close_leases(v_failed);
    perform resolver.end_steps(v_failed);
    update resolver.derivation_state s
       set stage = 'buildable', lease = null, tries = s.tries + (r.body ->> 'class' = 'transient')::integer,
           not_before = case when r.body ->> 'class' = 'transient' then resolver.clock() + x.retry_delay * 3 ^ s.tries end
      from unnest(v_failed) r cross join resolver.setting x
     where s.derivation = r.derivation and r.outcome = 'retried';
    -- It may have failed since its inputs were lost. Then nobody waits for it, and who will does not wait for a back-off.
    update resolver.derivation_state s set owner = null, not_before = null
      from unnest(v_failed) r
     where s.derivation = r.derivation and r.outcome = 'retried'
       and exists (select from resolver.resolution x where x.resolved = s.derivation and x.released is not null)
       and resolver.find_owner(s.derivation) is null;
    perform resolver.settle(array(select r.derivation from unnest(v_failed) r where r.outcome = 'retried'));
    insert into resolver.walk (kind, derivation)
    select 'want', s.derivation
      from unnest(v_failed) r join resolver.derivation_state s on s.derivation = r.derivation and s.stage = 'waiting'
    on conflict do nothing;
    perform resolver.record_failure(r.derivation, r.body ->> 'class', (r.body ->> 'status')::integer,
                                    r.body ->> 'message', r.build, r.stepnr)
       from unnest(v_failed) r
      where r.outcome = 'done';
    perform resolver.continue_walks();
    perform resolver.record_ends(100);
    return query select r.lease, r.outcome, r.detail from unnest(v_reports) r;
end
$$;

comment on function resolver.fail_steps(jsonb) is 'Reports builds that failed, for any number of claims.';
