-- finish_steps(reports): builds that succeeded: an array, one element for each claim:
--   {"lease", "outputs": {name: path}, "info", "machine", "log", "overhead", "times_built", "non_deterministic",
--    "already_valid"}     the last: Nix had them, and built nothing
--
-- Returns   (lease, outcome, detail): done, already, lease_lost, refused
-- Stages    building -> realised, and all that follows
-- Locks     the graph lock
-- Notifies  step_finished, build_finished
-- The step row, the trace, followers, watchers, builds and notifications become visible together or not at all.
create or replace function resolver.finish_steps(p_reports jsonb)
    returns table (lease bigint, outcome text, detail text)
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_reports  resolver.report[];
    v_finished resolver.report[];
begin
    perform resolver.lock_graph();
    v_reports := array(
        select row(r.lease, r.derivation, r.build, r.stepnr,
                   case when r.outcome <> 'open' then r.outcome when m.outputs is null then 'done' else 'refused' end,
                   'the report has no path for ' || m.outputs, r.digest, r.body)::resolver.report
          from unnest(resolver.open_reports(p_reports, 'build')) r
          left join lateral (
              select string_agg(o.name, ', ' order by o.name) as outputs
                from resolver.output o
               where o.derivation = r.derivation and r.outcome = 'open' and (r.body -> 'outputs' ->> o.name) is null) m on true);
    perform resolver.failpoint('finish_steps: judged');
    v_finished := array(select r from unnest(v_reports) r where r.outcome = 'done');
    if cardinality(v_finished) > 0 then
        perform resolver.close_leases(v_finished);
        perform resolver.end_steps(v_finished);
        perform resolver.record_built(v_finished);
        perform resolver.realise(array(
            select row(r.derivation, r.derivation,
                       case when not exists (select from resolver.output o
                                              where o.derivation = r.derivation and o.path <> r.body -> 'outputs' ->> o.name)
                            then nullif(r.body -> 'info', 'null') end, r.build)::resolver.ended
              from unnest(v_finished) r));
        perform resolver.continue_walks();
        perform resolver.record_ends(100);
    end if;
    return query select r.lease, r.outcome, r.detail from unnest(v_reports) r;
end
$$;

comment on function resolver.finish_steps(jsonb) is 'Reports builds that succeeded, for any number of claims.';
