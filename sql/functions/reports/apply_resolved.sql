-- apply_resolved(reports): applies reports of resolve, for the claims that are open: see set_resolved_to().
--
-- Stages    resolvable -> resolved, buildable, realised, failed, waiting
-- Locks     the caller holds the graph lock.
create or replace function resolver.apply_resolved(p_reports jsonb) returns resolver.answer[]
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_reports    resolver.report[];
    v_accepted   resolver.report[];
    v_themselves bigint[];
begin
    v_reports := resolver.validate_resolutions(resolver.match_reports(p_reports, 'resolve'));
    perform resolver.failpoint('set_resolved_to: judged');
    v_accepted := array(select r from unnest(v_reports) r where r.outcome in ('done', 'stale', 'retried'));
    perform resolver.close_leases(v_accepted);
    update resolver.derivation_state s
       set lease = null, tries = case when r.outcome = 'retried' then s.tries + 1 else 0 end,
           not_before = case when r.outcome = 'retried' then resolver.clock() + x.retry_delay * 3 ^ s.tries end
      from unnest(v_accepted) r cross join resolver.setting x
     where s.derivation = r.derivation;

    perform resolver.reevaluate_readiness(array(select r.derivation from unnest(v_accepted) r where r.outcome = 'stale'));
    v_accepted := array(select r from unnest(v_accepted) r where r.outcome = 'done');
    perform resolver.fail_without_attempt(r.derivation, r.body -> 'failed') from unnest(v_accepted) r where r.body ? 'failed';
    v_themselves := array(
        select r.derivation
          from unnest(v_accepted) r join resolver.derivation d on d.derivation = r.derivation
         where r.body -> 'resolved' = 'null' or r.body -> 'resolved' ->> 'drv' = d.drv);
    perform resolver.skip_resolution(v_themselves);
    perform resolver.apply_resolutions(array(select r from unnest(v_accepted) r
                                   where r.body ? 'resolved' and r.derivation <> all (v_themselves)));
    return array(select row(r.lease, r.outcome, r.detail)::resolver.answer from unnest(v_reports) r);
end
$$;

comment on function resolver.apply_resolved(jsonb) is 'Applies reports of resolve.';
revoke all on function resolver.apply_resolved(jsonb) from public;
