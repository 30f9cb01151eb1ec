-- set_resolved_to(reports): what resolve computed: an array, one element for each claim:
--   {"lease", "samples": [[input drv, output, path]], "info",
--    "resolved": {"drv", "name", "system", "kind", "features", "prefer_local", "confirmed": [path],
--                 "outputs": [{"name", "path", "valid"}]}}
--   {"lease", "samples", "info", "resolved": {"drv", "written": false, "confirmed", "outputs"}}   all that is wanted of it is valid
--   {"lease", "samples", "resolved": null}     nothing had to be replaced: it is built as it is
--   {"lease", "failed": {"class", "status", "message"}}
--
-- Returns   (lease, outcome, detail): done; already; lease_lost; refused;
--           stale: a sampled path is no longer in force, the claim is over;
--           confirm: the resolved derivation has outputs (in detail) that the report did not confirm, or it was not written and
--           lacks one that is wanted; nothing was changed
-- Stages    resolvable -> resolved, buildable, realised, failed, waiting
-- Locks     the graph lock
create or replace function resolver.set_resolved_to(p_reports jsonb)
    returns table (lease bigint, outcome text, detail text)
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_reports    resolver.report[];
    v_accepted   resolver.report[];
    v_themselves bigint[];
begin
    perform resolver.lock_graph();
    v_reports := resolver.judge_resolutions(resolver.open_reports(p_reports, 'resolve'));
    perform resolver.failpoint('set_resolved_to: judged');
    v_accepted := array(select r from unnest(v_reports) r where r.outcome in ('done', 'stale'));
    perform resolver.close_leases(v_accepted);
    update resolver.derivation_state s set lease = null
      from unnest(v_accepted) r where s.derivation = r.derivation;

    perform resolver.settle(array(select r.derivation from unnest(v_accepted) r where r.outcome = 'stale'));
    v_accepted := array(select r from unnest(v_accepted) r where r.outcome = 'done');
    perform resolver.refuse(r.derivation, r.body -> 'failed') from unnest(v_accepted) r where r.body ? 'failed';
    v_themselves := array(
        select r.derivation
          from unnest(v_accepted) r join resolver.derivation d on d.derivation = r.derivation
         where r.body -> 'resolved' = 'null' or r.body -> 'resolved' ->> 'drv' = d.drv);
    perform resolver.build_as_it_is(v_themselves);
    perform resolver.follow(array(select r from unnest(v_accepted) r
                                   where r.body ? 'resolved' and r.derivation <> all (v_themselves)));

    perform resolver.continue_walks();
    perform resolver.record_ends(100);
    return query select r.lease, r.outcome, r.detail from unnest(v_reports) r;
end
$$;

comment on function resolver.set_resolved_to(jsonb) is
    'Reports what derivations resolve to, for any number of claims; early cut-off happens here.';
