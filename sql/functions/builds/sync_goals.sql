-- sync_goals(builds): makes the goals of these builds match Hydra's tables.
--
-- Known failures of class builder end a goal as cached failures. If a build was enqueued to accept failures, all known failures do;
-- if it was enqueued to retry, or was restarted, none do. An unfinished build with a status was restarted.
-- Stages    realised -> unloaded, for roots: load has to look before a build may end as cached
-- Locks     the caller holds the graph lock.
-- Notifies  derivation_wanted
-- If a build raises an error, it ends as aborted, with the error, and the others are followed all the same.
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

comment on function resolver.sync_goals(integer[]) is 'Makes goals match Hydra''s rows of these builds; each build fails by itself.';
revoke all on function resolver.sync_goals(integer[]) from public;
