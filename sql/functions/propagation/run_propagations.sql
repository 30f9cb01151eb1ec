-- run_propagations(limit): does a bounded part of the propagations on the work list.
--
-- Returns   whether there is more. Every function that starts a propagation calls this once; workers do the rest.
-- Locks     the caller holds the graph lock (advance() takes it).
-- Failures are cleared before failures are propagated, so that a failure does not overtake the restart that clears it. Heights
-- can wait: only advance() raises them, when no other propagation is left. While a graph is loaded, each height would be raised many times.
-- Notifies  propagations_left, so that workers continue at once
create or replace function resolver.run_propagations(p_limit integer default 500, p_raise boolean default false) returns boolean
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_order     constant text[] := array['clear', 'lose', 'chain', 'wake', 'follow', 'missing', 'fail', 'settle', 'seek', 'want', 'disown', 'raise'];
    -- For each kind, the number of neighbours that take about as long as 500 inputs that become wanted.
    v_most      constant integer[] := array[100, 200, 5, 100, 100, 200, 200, 1000, 1000, 500, 0, 1000];
    v_left      integer := p_limit;
    v_kind      text;
    v_subjects  bigint[];
    v_after     bigint[];
    v_ranges resolver.edge_range[];
begin
    while v_left > 0 loop
        v_subjects := null;
        if exists (select from resolver.lost_path) then
            v_left := v_left - 2 * greatest(resolver.invalidate_lost_outputs(200), 10);
            continue;
        end if;
        exit when not exists (select from resolver.propagation);
        foreach v_kind in array v_order loop
            continue when v_kind = 'raise' and not p_raise;
            with taken as (
                delete from resolver.propagation w
                 where w.ctid = any (array(select l.ctid from resolver.propagation l where l.kind = v_kind
                                            order by l.subject limit case when v_kind = 'disown' then 1 else 200 end))
                returning w.subject, w.after
            )
            select array_agg(t.subject order by t.subject), array_agg(t.after order by t.subject) into v_subjects, v_after from taken t;
            continue when v_subjects is null;
            if v_kind = 'disown' then
                perform resolver.release_ownership(v_subjects[1], v_after[1], 50);
                v_left := v_left - 200;
                exit;
            end if;
            v_ranges := resolver.next_edge_ranges(v_kind, v_subjects, v_after, v_most[array_position(v_order, v_kind)]);
            case v_kind
                when 'clear' then perform resolver.propagate_retry(v_ranges);
                when 'lose' then perform resolver.propagate_loss(v_ranges);
                when 'chain' then perform resolver.propagate_chains(v_ranges);
                when 'wake' then perform resolver.notify_watchers_along(v_ranges);
                when 'follow' then perform resolver.complete_followers(v_ranges);
                when 'missing' then perform resolver.fail_missing_outputs(v_ranges);
                when 'fail' then perform resolver.propagate_failure(v_ranges);
                when 'settle' then perform resolver.reevaluate_readiness_along(v_ranges);
                when 'seek' then perform resolver.assign_owners_along(v_ranges);
                when 'want' then perform resolver.propagate_demand_along(v_ranges);
                when 'raise' then perform resolver.propagate_height(v_ranges);
            end case;
            v_left := v_left - ((select sum(x.neighbours + 1) from unnest(v_ranges) x)
                                * 500 / v_most[array_position(v_order, v_kind)])::integer;
            exit;
        end loop;
        exit when v_subjects is null;
    end loop;
    if exists (select from resolver.propagation w where w.kind <> 'raise') or exists (select from resolver.lost_path) then
        perform pg_notify('propagations_left', '');
        return true;
    end if;
    return p_raise and exists (select from resolver.propagation);
end
$$;

comment on function resolver.run_propagations(integer, boolean) is 'Continues propagations over the graph; true if there is more to do.';
