-- apply_loaded(reports): applies reports of load, for the claims that are open: see register_derivations().
--
-- Stages    unloaded -> waiting, resolvable, buildable, realised, failed
-- Locks     the caller holds the graph lock.
create or replace function resolver.apply_loaded(p_reports jsonb) returns resolver.answer[]
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_reports resolver.report[];
    v_next    resolver.report[];
begin
    v_reports := array(
        select row(r.lease, r.derivation, null, null,
                   case when r.outcome <> 'open' then r.outcome
                        when b.detail is not null then 'refused'
                        when resolver.is_retried(r.derivation, r.body -> 'failed') then 'retried'
                        else 'done' end,
                   b.detail, r.digest, case when r.outcome = 'open' and b.detail is null then r.body end)::resolver.report
          from unnest(resolver.match_reports(
                   (select jsonb_agg(e.report) from jsonb_array_elements(p_reports) e (report)
                     where e.report ->> 'lease' is not null), 'load')) r
          left join resolver.derivation d on d.derivation = r.derivation
         cross join lateral (
              select case when r.outcome = 'open' then
                         case when d.drv is distinct from r.body ->> 'drv' then 'it is about another derivation'
                              when jsonb_array_length(r.body -> 'outputs') > 100 then 'it has more than 100 outputs'
                              when jsonb_array_length(r.body -> 'inputs') > 1000
                                  then 'it has more than 1000 inputs: report them in parts, all but the last with "more"' end end as detail) b);
    perform resolver.failpoint('register_derivations: judged');
    -- A part only adds inputs, and may be sent twice: the claim stays open.
    perform resolver.register_inputs(
        (select coalesce(jsonb_agg(r.body), '[]') from unnest(v_reports) r where r.body ->> 'more' = 'true'));
    v_next := array(select r from unnest(v_reports) r where r.body is not null and r.body ->> 'more' is distinct from 'true');
    perform resolver.close_leases(v_next);
    update resolver.derivation_state s
       set lease = null, tries = case when r.outcome = 'retried' then s.tries + 1 else 0 end,
           not_before = case when r.outcome = 'retried' then resolver.clock() + x.retry_delay * 3 ^ s.tries end
      from unnest(v_next) r cross join resolver.setting x
     where s.derivation = r.derivation;
    v_next := array(select r from unnest(v_next) r where r.outcome = 'done');
    loop
        perform resolver.register_loaded(v_next);
        v_next := resolver.prefetched_reports(p_reports);
        exit when cardinality(v_next) = 0;
    end loop;
    return array(select row(r.lease, r.outcome, r.detail)::resolver.answer from unnest(v_reports) r);
end
$$;

comment on function resolver.apply_loaded(jsonb) is 'Applies reports of load.';
revoke all on function resolver.apply_loaded(jsonb) from public;
