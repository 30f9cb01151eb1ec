-- propagate_loss(stretches): derivations that were about to use a lost output of these wait for it again.
--
-- Stages    resolvable, buildable, resolved -> waiting, and the resolution is released
-- Locks     the caller holds the graph lock.
create or replace function resolver.propagate_loss(p_ranges resolver.edge_range[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now        constant timestamptz := resolver.clock();
    v_needing    bigint[];
    v_dependents bigint[];
    v_dynamic    bigint[];
begin
    v_needing := array(
        select distinct dep.derivation
          from unnest(p_ranges) x
          join resolver.dependency dep on dep.input = x.subject and dep.derivation + 0 > x.after and dep.derivation + 0 <= x.upto
         where exists (select from resolver.output o where o.derivation = dep.input and o.name = any (dep.outputs) and o.lost_at is not null));
    if v_needing = '{}' then
        return;
    end if;
    v_dependents := array(select s.derivation from resolver.derivation_state s
                           where s.derivation = any (v_needing) and s.stage in ('resolvable', 'buildable', 'resolved'));
    update resolver.resolution r set released_at = v_now where r.derivation = any (v_dependents) and r.released_at is null;
    perform resolver.failpoint('invalidate_outputs: dependents found');
    -- This update comes first: it waits for claims that are made without the graph lock, and only then are all of them visible.
    update resolver.derivation_state s set stage = 'waiting', resolved_to = null, lease = null where s.derivation = any (v_dependents);
    perform resolver.close_leases_of(v_dependents);
    -- A derivation that looks through its inputs in order has to go back to a lost one that it has passed.
    update resolver.watch w set input = l.input
      from (select dep.derivation, min(dep.input) as input
              from unnest(p_ranges) x
              join resolver.dependency dep on dep.input = x.subject and dep.derivation + 0 > x.after and dep.derivation + 0 <= x.upto
             where dep.derivation = any (v_needing)
               and exists (select from resolver.output o where o.derivation = dep.input and o.name = any (dep.outputs) and o.lost_at is not null)
             group by dep.derivation) l
     where w.derivation = l.derivation and w.in_order and w.input > l.input;
    delete from resolver.propagation k where k.kind = 'settle' and k.subject = any (v_needing)
       and exists (select from resolver.watch w where w.derivation = k.subject and w.input <= k.after);
    v_dynamic := array(
        select s.derivation from resolver.derivation_state s
         where s.derivation = any (v_needing) and s.stage = 'waiting'
           and exists (select from resolver.chain c where c.derivation = s.derivation));
    perform resolver.follow_chains(v_dynamic);
    perform resolver.reevaluate_readiness(array(select unnest(v_dependents) union select unnest(v_dynamic)));

    -- The derivations that they were resolved to may not be wanted any more.
    perform resolver.find_owners(array(
        select s.derivation from resolver.derivation_state s
         where s.derivation = any (array(select r.resolved from resolver.resolution r
                                          where r.derivation = any (v_dependents) and r.released_at = v_now))
           and s.stage in ('unloaded', 'buildable')));
    perform resolver.start_propagations('want', v_dependents);
end
$$;

comment on function resolver.propagate_loss(resolver.edge_range[]) is 'Derivations that were about to use a lost output wait for it again.';
revoke all on function resolver.propagate_loss(resolver.edge_range[]) from public;
