-- record_share_used(leases): charges the seconds of ended build attempts to the jobsets of their builds.
--
-- Locks     the caller holds the graph lock.
create or replace function resolver.record_share_used(p_leases bigint[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now timestamptz := resolver.clock();
begin
    delete from resolver.jobset_use u where u.hour < v_now - interval '25 hours';
    insert into resolver.jobset_use as u (hour, jobset, seconds)
    select date_trunc('hour', v_now, 'UTC'), g.jobset, sum(extract(epoch from v_now - l.started_at))
      from resolver.lease l join resolver.goal g on g.build = l.build
     where l.lease = any (p_leases) and l.started_at is not null and g.jobset is not null
     group by g.jobset
    on conflict (hour, jobset) do update set seconds = u.seconds + excluded.seconds;
end
$$;

comment on function resolver.record_share_used(bigint[]) is 'Adds the seconds of ended attempts to the use of their jobsets.';
