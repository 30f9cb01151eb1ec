-- record_ends(limit): finishes builds whose goals have ended in Hydra's tables.
--
-- Returns   the number of builds
-- Locks     the caller holds the graph lock. Rows of Builds in the order of ids, rows of their jobsets and projects KEY SHARE
--           (metrics refer to them), the counter that every end writes, and the rows that record_products() writes: all SKIP LOCKED,
--           since no session may wait for Hydra's rows under the graph lock. A build that is skipped stays in goal.
-- Notifies  build_finished
-- If the end of one build raises an error, the others are written all the same.
create or replace function resolver.record_ends(p_limit integer) returns integer
    language plpgsql volatile
    set search_path = pg_catalog, public, pg_temp
as $$
declare
    v_builds   integer[];
    v_recorded integer[] := array[]::integer[];
    v_build    integer;
    v_group    record;
begin
    if not exists (select from resolver.goal g where g.ended_at is not null and g.recorded_at is null) then
        return 0;
    end if;
    if not resolver.lock_finished_counter() then
        return 0;
    end if;

    perform resolver.failpoint('record_ends: counter locked');
    v_builds := array(
        select g.build
          from resolver.goal g
          join resolver.derivation d on d.derivation = g.root
          join public.Builds b on b.id = g.build
          join public.Jobsets j on j.id = b.jobset_id
          join public.Projects p on p.name = j.project
         where g.ended_at is not null and g.recorded_at is null
           -- If an evaluator gave the build another derivation since, sync_builds() will see that.
           and (b.finished = 1 or right(b.drvPath, length(d.drv)) = d.drv)
         order by b.id limit p_limit
           for update of b skip locked
           for key share of j, p skip locked);
    begin
        v_recorded := array(select b from unnest(v_builds) b where resolver.record_end(b));
    exception when others then
        if resolver.is_transient_error(sqlstate) then
            raise;
        end if;
        v_recorded := '{}';
        foreach v_build in array v_builds
        loop
            begin
                if resolver.record_end(v_build) then
                    v_recorded := v_recorded || v_build;
                end if;
            exception when others then
                if resolver.is_transient_error(sqlstate) then
                    raise;
                end if;
                raise warning 'the end of build % can not be written: %', v_build, sqlerrm using errcode = sqlstate;
            end;
        end loop;
    end;

    -- One notification has all builds that ended by one attempt, after the build that ran it, in whichever transaction that build ended.
    -- Each other build has its own notification. (cause + 0: otherwise the planner reads all goals of the failure for each build.)
    for v_group in
        select array_remove(array[r.build], null) || array_remove(array_agg(g.build order by g.build), r.build) as builds
          from resolver.goal g
          left join lateral resolver.failure_of_goal(g) f on not g.is_cached
          left join resolver.goal r on r.build = f.build and r.cause + 0 = g.cause and r.recorded_at is not null
         where g.build = any (v_recorded)
         group by coalesce(f.failure, -g.build), r.build
         order by min(g.build)
    loop
        perform resolver.notify_finished(v_group.builds);
    end loop;
    return cardinality(v_recorded);
end
$$;

comment on function resolver.record_ends(integer) is 'Finishes builds in Hydra''s tables whose goals have ended.';
