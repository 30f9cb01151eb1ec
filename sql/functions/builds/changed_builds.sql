-- changed_builds(all): returns builds whose goals may have to change, a bounded number: see sync_builds().
--
-- Returns   the builds, and whether there may be more
-- Locks     the row of build_scan, SKIP LOCKED: one worker at a time continues a pass.
-- Build numbers are assigned before transactions commit: a missing number may turn up until all transactions have ended that were open
-- when a higher one was seen. A transaction that has a number and has written nothing yet can be overlooked, until the next pass.
create or replace function resolver.changed_builds(p_all boolean, out builds integer[], out more boolean)
    language plpgsql volatile
    set search_path = pg_catalog, public, pg_temp
as $$
declare
    v_limit constant integer := 100;
    v_now   constant timestamptz := clock_timestamp();
    v_scan  resolver.build_scan;
    v_old   resolver.build_scan;
    v_part  integer[];
    v_found integer[];
    v_after integer;
begin
    select * into v_old from resolver.build_scan for update skip locked;
    v_scan := v_old;
    if v_old.only_row is null then
        select * into v_scan from resolver.build_scan;
    elsif v_old.complete is null or pg_snapshot_xmin(pg_current_snapshot()) >= v_old.seen_xact then
        -- This is one statement, so that both values come from one snapshot.
        select coalesce(max(b.id), 0), pg_snapshot_xmax(pg_current_snapshot()) into v_scan.seen, v_scan.seen_xact from public.Builds b;
        v_scan.complete := case when v_old.complete is null then v_scan.seen else v_old.seen end;
    end if;
    v_after := coalesce(v_old.complete, v_scan.complete);
    builds := array(
        select b.id
          from public.Builds b
         where b.id > v_after and b.finished + 0 = 0 and not exists (select from resolver.goal g where g.build = b.id)
           and not exists (select from resolver.build_request w where w.build = b.id)
         order by b.id limit v_limit);
    more := cardinality(builds) = v_limit;
    if v_old.only_row is null then
        return;
    elsif more then
        v_scan.complete := v_after;
    end if;

    v_scan.again := v_scan.again or p_all;
    if v_scan.position is null and (v_scan.again or v_now not between v_scan.began_at and v_scan.began_at + interval '60 seconds') then
        v_scan.position := 0;
        v_scan.began_at := v_now;
        v_scan.again := false;
    end if;
    if v_scan.position is not null then
        v_part := array(select g.build from resolver.goal g where g.ended_at is null and g.build > 0 and g.build > v_scan.position order by g.build limit 500);
        v_found := resolver.changed_goals(v_part, v_limit);
        builds := builds || v_found;
        v_scan.position := coalesce(v_found[v_limit], v_part[500]);
        if v_scan.position is null then
            perform resolver.request_changed_builds();
        end if;
    end if;
    v_part := array(select w.build from resolver.build_request w
                     where not exists (select from resolver.propagation d where d.kind = 'disown' and d.subject = w.build)
                     order by w.build limit v_limit);
    builds := builds || v_part;
    more := more or v_scan.position is not null or cardinality(v_part) = v_limit;
    if v_scan is distinct from v_old then
        update resolver.build_scan s
           set complete = v_scan.complete, seen = v_scan.seen, seen_xact = v_scan.seen_xact, position = v_scan.position, again = v_scan.again, began_at = v_scan.began_at;
    end if;
end
$$;

comment on function resolver.changed_builds(boolean) is 'Builds of Hydra that are new or were changed, a bounded number; and whether there may be more.';
revoke all on function resolver.changed_builds(boolean) from public;
