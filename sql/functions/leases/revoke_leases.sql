-- revoke_leases(leases, outcome, reason, attempted): closes claims without a report; other workers may claim the derivations.
--
-- Arguments attempted: it counts as an attempt: from the second in a row there is a back-off, and after setting.max_tries the
--           derivation fails as aborted. Otherwise a builder that kills its machine would be started for ever.
-- Stages    building -> buildable, waiting (an input was lost meanwhile), failed; unloaded and resolvable stay, or -> failed
-- Locks     the caller holds the graph lock, and has checked under it that the claims are open.
-- Notifies  lease_revoked, derivation_wanted, dependency_ready, step_ready
create or replace function resolver.revoke_leases(p_leases bigint[], p_outcome text, p_reason text, p_attempted boolean) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now         constant timestamptz := resolver.clock();
    v_derivations bigint[];
    v_builds      integer[];
    v_stepnrs     integer[];
    v_free        bigint[];
    v_exhausted   bigint[];
begin
    if cardinality(p_leases) = 0 then
        return;
    end if;
    select coalesce(array_agg(l.derivation order by l.lease), '{}'), array_agg(l.build order by l.lease), array_agg(l.stepnr order by l.lease)
      into v_derivations, v_builds, v_stepnrs
      from resolver.lease l where l.lease = any (p_leases) and l.verb = 'build';
    perform resolver.record_share_used(array(select l.lease from resolver.lease l where l.lease = any (p_leases) and l.verb = 'build'));
    v_free := resolver.lock_step_rows(v_builds, v_stepnrs);
    update public.BuildSteps b
       set busy = 0, status = 3, errorMsg = p_reason, stopTime = resolver.hydra_time(v_now)
      from unnest(v_builds, v_stepnrs) with ordinality x (build, stepnr, nr)
     where b.build = x.build and b.stepnr = x.stepnr and x.nr = any (v_free);
    insert into resolver.interrupted_step (build, stepnr, drv)
    select x.build, x.stepnr, d.drv
      from unnest(v_builds, v_stepnrs, v_derivations) with ordinality x (build, stepnr, derivation, nr)
      join resolver.derivation d on d.derivation = x.derivation
     where x.nr = any (v_free)
    on conflict do nothing;
    update resolver.derivation_state s
       set stage = case when s.stage = 'building' then 'buildable' else s.stage end, lease = null,
           tries = s.tries + p_attempted::integer,
           not_before = case when p_attempted and s.tries > 0 then v_now + x.retry_delay * 3 ^ (s.tries - 1) end
      from resolver.lease l cross join resolver.setting x
     where l.lease = any (p_leases) and s.derivation = l.derivation;
    update resolver.lease l set closed_at = v_now, outcome = p_outcome
     where l.lease = any (p_leases);
    -- If an input of its resolution was lost, no derivation waits for it any more.
    perform resolver.find_owners(array(
        select s.derivation from resolver.derivation_state s
         where s.derivation = any (v_derivations) and s.stage = 'buildable'
           and exists (select from resolver.resolution r where r.resolved = s.derivation and r.released_at is not null)));
    perform resolver.reevaluate_readiness(v_derivations);
    perform resolver.start_propagations('want', array(
        select s.derivation from resolver.derivation_state s where s.derivation = any (v_derivations) and s.stage = 'waiting'));

    v_exhausted := array(
        select s.derivation
          from resolver.lease l join resolver.derivation_state s on s.derivation = l.derivation cross join resolver.setting x
         where l.lease = any (p_leases) and p_attempted and s.tries >= x.max_tries and s.stage in ('unloaded', 'resolvable', 'buildable')
         order by s.derivation);
    delete from resolver.interrupted_step i using resolver.lease l
     where l.lease = any (p_leases) and l.derivation = any (v_exhausted) and i.build = l.build and i.stepnr = l.stepnr;
    perform resolver.record_failure(l.derivation, 'transient', 3, p_reason, l.build, l.stepnr)
       from resolver.lease l where l.lease = any (p_leases) and l.derivation = any (v_exhausted) and l.verb = 'build';
    perform resolver.fail_without_attempt(l.derivation, jsonb_build_object('class', 'transient', 'status', 3, 'message', p_reason))
       from resolver.lease l where l.lease = any (p_leases) and l.derivation = any (v_exhausted) and l.verb <> 'build';
    perform pg_notify(channel, '')
       from unnest(array['lease_revoked', 'derivation_wanted', 'dependency_ready', 'step_ready']) channel;
end
$$;

comment on function resolver.revoke_leases(bigint[], text, text, boolean) is
    'Closes claims without a report: their derivations can be claimed again.';
