-- has_work(worker): returns whether any work is under way, or this worker can do some, now or after a short back-off.
--
-- A worker that drains the queue waits for the first back-off, of a minute, since many failures pass in that time. If it waited for
-- the later ones, a full disk would keep it waiting for 40 minutes.
create or replace function resolver.has_work(p_worker integer) returns boolean
    language plpgsql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    return
           exists (select from resolver.propagation w where w.kind <> 'raise')
        or exists (select from resolver.lost_path)
        or exists (select from resolver.build_request)
        or exists (select from resolver.failure f where f.is_reopening)
        or exists (select from resolver.goal g where g.ended_at is not null and g.recorded_at is null)
        or exists (select from resolver.lease l where l.closed_at is null)
        or resolver.find_cycle() is not null
        or exists (select from resolver.worker w, resolver.derivation_state s
                    where w.worker = p_worker and 'load' = any (w.verbs)
                      and s.stage = 'unloaded' and s.lease is null and s.owner > 0
                      and (select g.ended_at is null from resolver.goal g where g.build = s.owner))
        or exists (select from resolver.worker w, resolver.derivation_state s
                    where w.worker = p_worker and 'resolve' = any (w.verbs)
                      and s.stage = 'resolvable' and s.lease is null and s.owner > 0
                      and (select g.ended_at is null from resolver.goal g where g.build = s.owner))
        or exists (select from resolver.worker w
                     join resolver.machine_type m on resolver.can_build(w, m)
                     join resolver.derivation_state s on s.machine_type = m.machine_type
                    where w.worker = p_worker and 'build' = any (w.verbs)
                      and s.stage = 'buildable' and s.owner > 0
                      and (s.not_before is null or s.not_before < resolver.clock() + interval '2 minutes')
                      and (select g.ended_at is null from resolver.goal g where g.build = s.owner));
end
$$;

comment on function resolver.has_work(integer) is 'False if a worker that drains the queue can end.';
