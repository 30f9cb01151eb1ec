-- record_failure_rows(goal): the steps that tell, within the build, which derivation made it fail.
--
-- The build that ran the attempt has the row already. Every other gets a row with the same status and propagatedFrom, or
-- status 8 when the failure is older than the wish, or than the resolution that leads to it; a build whose root was resolved to what failed says that as well.
create or replace function resolver.record_failure_rows(p_goal resolver.goal) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_failure resolver.failure;
    v_drv     text;
    v_status  integer;
begin
    select * into v_failure from resolver.failure f
     where f.derivation = p_goal.cause and f.cleared is null;
    if not found then
        return;
    end if;
    v_drv := (select resolver.hydra_path(d.drv) from resolver.derivation d where d.derivation = p_goal.cause);
    v_status := case when p_goal.cached then 8 else v_failure.status end;
    if exists (select from public.BuildSteps s where s.build + 0 = p_goal.build and s.drvPath = v_drv
                  and s.busy = 0 and s.status in (v_failure.status, 8)) then
        return;
    end if;

    if p_goal.root <> p_goal.cause
       and exists (select from resolver.derivation_state s
                    where s.derivation = p_goal.root and s.stage = 'failed' and s.failed_dependency = p_goal.cause) then
        perform resolver.record_resolutions(array[p_goal.root], array[p_goal.cause], array[p_goal.build]);
    end if;
    perform resolver.record_steps(array[row(p_goal.build, p_goal.cause, 0, 0, v_status, v_failure.message,
                                            nullif(v_failure.build, p_goal.build), null)::resolver.new_step]);
end
$$;

comment on function resolver.record_failure_rows(resolver.goal) is 'Step rows of a build that failed because of another build''s attempt.';
