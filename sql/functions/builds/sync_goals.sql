-- sync_goals(builds): makes the goals of these builds match Hydra's tables.
--
-- Known failures of class builder end a goal as cached failures; all do for builds that were enqueued so, none for those that were
-- enqueued otherwise, and for those that were restarted: that a build has ended before is seen by its status.
-- Stages    realised -> unloaded, for roots: load has to look before a build may end as cached
-- Locks     the caller holds the graph lock.
-- Notifies  derivation_wanted
-- If one of them makes the database raise, the others are followed all the same; that one ends as aborted, with the error.
create or replace function resolver.sync_goals(p_builds integer[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_build integer;
begin
    begin
        perform resolver.sync_goals_together(p_builds);
    exception when others then
        if resolver.is_transient_error(sqlstate) then
            raise;
        end if;
        foreach v_build in array p_builds
        loop
            begin
                perform resolver.sync_goals_together(array[v_build]);
            exception when others then
                if resolver.is_transient_error(sqlstate) then
                    raise;
                end if;
                raise warning 'build % can not be followed: %', v_build, sqlerrm using errcode = sqlstate;
                perform resolver.fail_invalid_build(v_build, sqlerrm);
            end;
        end loop;
    end;
end
$$;

comment on function resolver.sync_goals(integer[]) is 'Goals become what Hydra''s rows of these builds say; each build fails by itself.';
revoke all on function resolver.sync_goals(integer[]) from public;
