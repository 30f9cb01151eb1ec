-- propagate_time_limits(stretches): inputs and resolved derivations get at least the time limits of the derivations that need them.
--
-- Returns   the inputs and resolved derivations whose limits (max_silent, timeout) grew
-- Locks     the caller holds the graph lock.
create or replace function resolver.propagate_time_limits(p_ranges resolver.edge_range[]) returns bigint[]
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_changed bigint[];
begin
    with longer as (
        update resolver.derivation_state i
           set max_silent = greatest(i.max_silent, w.max_silent), timeout = greatest(i.timeout, w.timeout)
          from (select n.derivation, max(s.max_silent) as max_silent, max(s.timeout) as timeout
                  from unnest(p_ranges) x
                  join resolver.derivation_state s on s.derivation = x.subject
                 cross join lateral (
                       select dep.input as derivation from resolver.dependency dep
                        where dep.derivation = s.derivation and s.stage in ('unloaded', 'waiting')
                          and dep.input > x.after and dep.input <= x.upto
                       union all
                       select s.resolved_to where s.stage = 'resolved') n
                 where s.owner is not null and coalesce(s.max_silent, s.timeout) is not null
                 group by n.derivation) w
         where i.derivation = w.derivation and i.stage not in ('realised', 'failed')
           and (w.max_silent > coalesce(i.max_silent, 0) or w.timeout > coalesce(i.timeout, 0))
        returning i.derivation
    )
    select coalesce(array_agg(l.derivation), '{}') into v_changed from longer l;
    return v_changed;
end
$$;

comment on function resolver.propagate_time_limits(resolver.edge_range[]) is
    'Raises the time limits of inputs and resolved derivations to the limits of their dependents; returns which grew.';
