-- claim_graph_work(worker, verb, limit): claims for load and resolve. It writes leases only, without the graph lock.
create or replace function resolver.claim_graph_work(p_worker integer, p_verb text, p_limit integer)
    returns table (lease bigint, drv text, build integer, stepnr integer, root boolean, inputs jsonb, known jsonb,
                   max_silent integer, timeout integer)
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now     constant timestamptz := resolver.clock();
    v_claimed bigint[];
begin
    -- One query for each verb: only a literal stage lets the planner use the partial index.
    if p_verb = 'load' then
        v_claimed := array(
            select s.derivation from resolver.derivation_state s
             where s.stage = 'unloaded' and s.lease is null and s.owner > 0 and (s.not_before is null or s.not_before <= v_now)
             order by s.global_priority desc, s.priority desc, s.derivation
             limit p_limit for update skip locked);
    else
        v_claimed := array(
            select s.derivation from resolver.derivation_state s
             where s.stage = 'resolvable' and s.lease is null and s.owner > 0 and (s.not_before is null or s.not_before <= v_now)
             order by s.global_priority desc, s.priority desc, s.derivation
             limit p_limit for update skip locked);
    end if;

    perform resolver.failpoint('claim_graph_work: chosen');
    return query
    with opened as (
        insert into resolver.lease as l (derivation, verb, worker, opened_at, deadline)
        select c.derivation, p_verb, p_worker, resolver.clock(), resolver.clock() + interval '10 minutes'
          from unnest(v_claimed) with ordinality c (derivation, nr) order by c.nr
        returning l.lease, l.derivation
    ), leased as (
        update resolver.derivation_state s set lease = o.lease from opened o where s.derivation = o.derivation
        returning s.derivation, s.owner
    )
    select o.lease, d.drv, s.owner, null::integer,
           exists (select from resolver.goal g where g.root = o.derivation and g.root > 0 and g.ended_at is null),
           case when p_verb = 'resolve' and not resolver.has_many_inputs(o.derivation) then resolver.sampled_inputs(o.derivation) end,
           (select coalesce(jsonb_object_agg(x.name, x.path), '{}') from resolver.output x
             where x.derivation = o.derivation and x.valid_since is not null),
           null::integer, null::integer
      from opened o
      join leased s on s.derivation = o.derivation
      join resolver.derivation d on d.derivation = o.derivation
     order by o.lease;
end
$$;

comment on function resolver.claim_graph_work(integer, text, integer) is 'Claims for the verbs load and resolve.';
