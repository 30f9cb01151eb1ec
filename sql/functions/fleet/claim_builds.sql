-- claim_builds(worker, limit): claims for the verb build, in queue order, for the worker's systems and features.
--
-- The step row of an attempt that was aborted for the same build is turned busy again: there is no second one.
create or replace function resolver.claim_builds(p_worker integer, p_limit integer)
    returns table (lease bigint, drv text, build integer, stepnr integer, root boolean, inputs jsonb, known jsonb,
                   max_silent integer, timeout integer)
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_worker  resolver.worker;
    v_now     timestamptz;
    v_claimed record;
begin
    perform resolver.lock_graph();
    v_now := resolver.clock();
    select * into v_worker from resolver.worker w where w.worker = p_worker and w.gone is null;

    for v_claimed in
        select s.derivation, d.drv, resolver.account_of(s.derivation) as build
          from resolver.derivation_state s
          join resolver.derivation d on d.derivation = s.derivation
         where s.stage = 'buildable' and s.owner is not null
           and (s.not_before is null or s.not_before <= v_now)
           and (d.system = any (v_worker.systems) or d.system = 'builtin') and d.features <@ v_worker.features
         order by s.global_priority desc, s.priority desc, s.derivation
         limit p_limit
    loop
        drv := v_claimed.drv;
        build := v_claimed.build;
        stepnr := resolver.start_step(v_claimed.derivation, build);
        continue when stepnr is null;

        insert into resolver.lease as l (derivation, verb, worker, build, stepnr, opened)
        values (v_claimed.derivation, 'build', p_worker, build, stepnr, v_now)
        returning l.lease into lease;
        update resolver.derivation_state s set stage = 'building', lease = claim_builds.lease
         where s.derivation = v_claimed.derivation;

        select count(*) > 0,
               case when bool_or(b.maxsilent = 0) then 0 else coalesce(max(b.maxsilent), 3600) end,
               case when bool_or(b.timeout = 0) then 0 else coalesce(max(b.timeout), 36000) end
          into root, max_silent, timeout
          from resolver.goal g join public.Builds b on b.id = g.build
         where g.ended is null
           and g.root in (select v_claimed.derivation
                          union all
                          select f.derivation from resolver.derivation_state f
                           where f.resolved_to = v_claimed.derivation);
        known := (select coalesce(jsonb_object_agg(o.name, o.path), '{}') from resolver.output o
                   where o.derivation = v_claimed.derivation and o.path is not null);
        inputs := (select coalesce(jsonb_agg(distinct o.path), '[]')
                     from resolver.dependency dep
                     join resolver.output o on o.derivation = dep.input and o.name = any (dep.outputs)
                    where dep.derivation = v_claimed.derivation);
        perform pg_notify('step_started', build || E'\t' || stepnr);
        perform pg_notify('build_started', build::text);
        return next;
    end loop;
end
$$;

comment on function resolver.claim_builds(integer, integer) is 'Claims for the verb build: each has a busy row in BuildSteps.';
