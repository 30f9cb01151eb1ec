-- apply_finished(reports): applies reports of successful builds, for the claims that are open: see finish_steps().
--
-- Stages    building -> realised, and all that follows
-- Locks     the caller holds the graph lock.
create or replace function resolver.apply_finished(p_reports jsonb) returns resolver.answer[]
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_reports  resolver.report[];
    v_finished resolver.report[];
begin
    v_reports := array(
        select row(r.lease, r.derivation, r.build, r.stepnr,
                   case when r.outcome <> 'open' then r.outcome when b.detail is null then 'done' else 'refused' end,
                   b.detail, r.digest, r.body)::resolver.report
          from unnest(resolver.match_reports(p_reports, 'build')) r
          left join lateral resolver.wrong_outputs(r.derivation, r.body -> 'outputs') b (detail) on r.outcome = 'open');
    perform resolver.failpoint('finish_steps: judged');
    v_finished := array(select r from unnest(v_reports) r where r.outcome = 'done');
    if cardinality(v_finished) > 0 then
        perform resolver.close_leases(v_finished);
        perform resolver.end_steps(v_finished);
        perform resolver.record_built(v_finished);
        perform resolver.complete_derivations(array(
            select row(r.derivation, r.derivation,
                       case when not exists (select from resolver.output o
                                              where o.derivation = r.derivation and o.path <> r.body -> 'outputs' ->> o.name)
                            then resolver.checked_info(r.body -> 'info') end, r.build)::resolver.ended
              from unnest(v_finished) r));
    end if;
    return array(select row(r.lease, r.outcome, r.detail)::resolver.answer from unnest(v_reports) r);
end
$$;

comment on function resolver.apply_finished(jsonb) is 'Applies reports of builds that succeeded.';
revoke all on function resolver.apply_finished(jsonb) from public;
