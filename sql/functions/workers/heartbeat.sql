-- heartbeat(worker): records that the worker lives. Returns the build leases that it should abort, since no build needs them any more.
--
-- Notifies  worker_beat, so that listeners can tell that they hear notifications
-- Raises    NX016 if the worker is unknown or was declared dead: its claims are revoked.
create or replace function resolver.heartbeat(p_worker integer) returns setof bigint
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
begin
    perform resolver.limit_idle_transaction();
    update resolver.worker w set heartbeat = resolver.clock() where w.worker = p_worker and w.gone_at is null;
    if not found then
        raise exception 'the worker is not registered'
            using errcode = 'NX016', detail = format('Worker %s is unknown, has left, or was silent for too long.', p_worker),
                  hint = 'Stop its builds, drop its claims, and register again.';
    end if;
    perform pg_notify('worker_beat', '');
    return query
        select l.lease
          from resolver.lease l
          join resolver.derivation_state s on s.derivation = l.derivation
         where l.worker = p_worker and l.closed_at is null and l.verb = 'build' and s.owner is null
           and not exists (select from resolver.propagation w where w.kind = 'seek' and w.subject = l.derivation);
end
$$;

comment on function resolver.heartbeat(integer) is
    'Records a sign of life of a worker; returns the leases of attempts that no build needs any more.';
