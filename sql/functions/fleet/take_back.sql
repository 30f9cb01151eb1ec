-- take_back(leases, outcome, reason): these claims are over without a report; others may claim the derivations.
--
-- Stages    building -> buildable, waiting (an input was lost meanwhile); unloaded and resolvable stay
-- Locks     the caller holds the graph lock, and has found under it that the claims are open.
-- Notifies  lease_revoked, and that there is work
create or replace function resolver.take_back(p_leases bigint[], p_outcome text, p_reason text) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_derivations bigint[];
    v_builds      integer[];
    v_stepnrs     integer[];
    v_free        bigint[];
begin
    if cardinality(p_leases) = 0 then
        return;
    end if;
    select coalesce(array_agg(l.derivation), '{}'), array_agg(l.build order by l.lease), array_agg(l.stepnr order by l.lease)
      into v_derivations, v_builds, v_stepnrs
      from resolver.lease l where l.lease = any (p_leases) and l.verb = 'build';
    perform resolver.record_use(array(select l.lease from resolver.lease l where l.lease = any (p_leases) and l.verb = 'build'));
    v_free := resolver.free_steps(v_builds, v_stepnrs);
    update public.BuildSteps b
       set busy = 0, status = 3, errorMsg = p_reason, stopTime = resolver.hydra_time(resolver.clock())
      from unnest(v_builds, v_stepnrs) with ordinality x (build, stepnr, nr)
     where b.build = x.build and b.stepnr = x.stepnr and x.nr = any (v_free);
    update resolver.derivation_state s
       set stage = case when s.stage = 'building' then 'buildable' else s.stage end, lease = null,
           taken_back = case when s.stage = 'building' then s.lease else s.taken_back end
      from resolver.lease l
     where l.lease = any (p_leases) and s.derivation = l.derivation;
    update resolver.lease l set closed = resolver.clock(), outcome = p_outcome
     where l.lease = any (p_leases);
    -- What it was resolved from may have been lost: then its inputs are gone, and nobody waits for it any more.
    update resolver.derivation_state s set owner = null
     where s.derivation = any (v_derivations) and s.stage = 'buildable'
       and exists (select from resolver.resolution r where r.resolved = s.derivation and r.released is not null)
       and resolver.find_owner(s.derivation) is null;
    perform resolver.settle(v_derivations);
    insert into resolver.walk (kind, derivation)
    select 'want', s.derivation from resolver.derivation_state s
     where s.derivation = any (v_derivations) and s.stage = 'waiting'
    on conflict do nothing;
    perform pg_notify(channel, '')
       from unnest(array['lease_revoked', 'derivation_wanted', 'dependency_ready', 'step_ready']) channel;
end
$$;

comment on function resolver.take_back(bigint[], text, text) is 'Ends claims without a report: their derivations can be claimed again.';
