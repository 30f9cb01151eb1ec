-- claim_builds(worker, limit): claims buildable derivations that the worker takes, in queue order.
--
-- If an attempt for the same build was revoked, its step row becomes busy again, and no second row is written.
create or replace function resolver.claim_builds(p_worker integer, p_limit integer)
    returns table (lease bigint, drv text, build integer, stepnr integer, root boolean, inputs jsonb, known jsonb,
                   max_silent integer, timeout integer)
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_worker  resolver.worker;
    v_now     timestamptz;
    v_types   integer[];
    v_ids     bigint[];
    v_builds  integer[];
    v_stepnrs integer[];
    v_stale   bigint[];
    v_most    constant integer := least(p_limit, 100);
begin
    if not exists (select from resolver.derivation_state s where s.stage = 'buildable' and s.owner > 0) then
        return;
    end if;
    perform resolver.failpoint('claim_builds: there is something');
    perform resolver.lock_graph();
    v_now := resolver.clock();
    select * into v_worker from resolver.worker w where w.worker = p_worker and w.gone_at is null;
    v_types := array(select m.machine_type from resolver.machine_type m where resolver.can_build(v_worker, m));
    for v_round in 1..3 loop
        v_ids := case when v_worker.feature_limits = '{}' then resolver.next_to_build(v_types, v_most)
                      else resolver.next_within_limits(v_worker, v_types, v_most) end;
        v_stale := array(select s.derivation from resolver.derivation_state s
                          where s.derivation = any (v_ids)
                            and (select g.ended_at is null from resolver.goal g where g.build = s.owner) is not true);
        exit when v_stale = '{}';
        perform resolver.find_owners(v_stale);
        v_ids := array(select x from unnest(v_ids) x where x <> all (v_stale));
        exit when v_ids <> '{}';
    end loop;
    if cardinality(v_ids) = 0 then
        if v_stale <> '{}' then
            -- A great many builds were cancelled. This claim does not hold the graph lock for all of them: the next claim goes on.
            perform pg_notify('step_ready', '');
        end if;
        return;
    end if;
    v_builds := array(select resolver.attributed_build(x.id) from unnest(v_ids) with ordinality x (id, nr) order by x.nr);
    perform resolver.reassign_resolutions(v_ids, v_builds);
    v_stepnrs := resolver.start_steps(v_ids, v_builds, case when v_worker.builders = '{}' then 30 else 35 end);

    return query
    with started as (
        select x.* from unnest(v_ids, v_builds, v_stepnrs) with ordinality x (derivation, build, stepnr, nr)
         where x.stepnr is not null
    ), opened as (
        insert into resolver.lease as l (derivation, verb, worker, build, stepnr, opened_at, started_at)
        select x.derivation, 'build', p_worker, x.build, x.stepnr, v_now, case when v_worker.builders = '{}' then v_now end from started x order by x.nr
        returning l.lease, l.derivation, l.build, l.stepnr
    ), moved as (
        update resolver.derivation_state s set stage = 'building', lease = o.lease
          from opened o where s.derivation = o.derivation
    ), told as (
        select pg_notify('step_started', o.build || E'\t' || o.stepnr), pg_notify('build_started', o.build::text)
          from opened o
    )
    select o.lease, d.drv, o.build, o.stepnr, g.root,
           case when not resolver.has_many_inputs(o.derivation) then resolver.input_paths(o.derivation) end,
           (select coalesce(jsonb_object_agg(x.name, x.path), '{}') from resolver.output x
             where x.derivation = o.derivation and x.path is not null),
           g.max_silent, g.timeout
      from opened o
      join resolver.derivation d on d.derivation = o.derivation
     cross join lateral resolver.build_time_limits(o.derivation) g
     cross join (select count(*) from told) t
     order by o.lease;
end
$$;

comment on function resolver.claim_builds(integer, integer) is 'Claims for the verb build: each has a busy row in BuildSteps.';
