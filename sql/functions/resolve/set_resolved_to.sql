-- set_resolved_to(reports): what resolve computed: an array, one element for each claim:
--   {"lease", "samples": [[input drv, output, path]], "info",
--    "resolved": {"drv", "name", "system", "kind", "features", "prefer_local", "outputs": [{"name", "path", "valid"}]}}
--   {"lease", "samples", "resolved": null}     nothing had to be replaced: it is built as it is
--   {"lease", "failed": {"class", "status", "message"}}
--
-- Returns   (lease, outcome, detail): done; already; lease_lost; refused;
--           stale: a sampled path is no longer in force, the claim is over;
--           confirm: the resolved derivation has outputs (in detail) that the report did not confirm; nothing was changed
-- Stages    resolvable -> resolved, buildable, realised, failed, waiting
-- Locks     the graph lock
create or replace function resolver.set_resolved_to(p_reports jsonb)
    returns table (lease bigint, outcome text, detail text)
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_report     jsonb;
    v_derivation bigint;
begin
    perform resolver.lock_graph();
    for v_report in select e.report from jsonb_array_elements(p_reports) e (report)
    loop
        lease := (v_report ->> 'lease')::bigint;
        detail := null;
        outcome := resolver.check_lease(lease, 'resolve', md5(v_report::text));
        if outcome = 'open' then
            select l.derivation into v_derivation from resolver.lease l where l.lease = set_resolved_to.lease;
            if v_report ? 'failed' then
                outcome := 'failed';
            elsif not resolver.samples_in_force(v_derivation, v_report -> 'samples') then
                outcome := 'stale';
            elsif v_report -> 'resolved' = 'null' then
                outcome := 'itself';
            else
                detail := resolver.unconfirmed_outputs(v_report -> 'resolved');
                outcome := case when detail is null then 'another' else 'confirm' end;
            end if;

            if outcome <> 'confirm' then
                update resolver.derivation_state s set lease = null where s.derivation = v_derivation;
                perform resolver.close_lease(lease, case when outcome in ('failed', 'stale') then outcome else 'done' end,
                                             md5(v_report::text));
            end if;
            case outcome
                when 'failed' then
                    perform resolver.refuse(v_derivation, v_report -> 'failed');
                    outcome := 'done';
                when 'stale' then
                    perform resolver.settle(array[v_derivation]);
                when 'itself' then
                    update resolver.derivation_state s set stage = 'buildable' where s.derivation = v_derivation;
                    update resolver.derivation d set must_resolve = false where d.derivation = v_derivation;
                    perform pg_notify('step_ready', '');
                    outcome := 'done';
                when 'another' then
                    perform resolver.follow(v_derivation, v_report);
                    outcome := 'done';
                else null;
            end case;
        end if;
        return next;
    end loop;
    perform resolver.continue_walks();
    perform resolver.record_ends(100);
end
$$;

comment on function resolver.set_resolved_to(jsonb) is
    'Reports what derivations resolve to, for any number of claims; early cut-off happens here.';
