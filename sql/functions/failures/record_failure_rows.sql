-- record_failure_rows(goal, failure): writes the steps that show, within the build, which derivation made it fail.
--
-- The build that ran the attempt has the row already. Every other build gets a row with the same status and propagatedFrom, or
-- status 8 if the failure is older than the goal, or than the resolution that leads to it. If the build's root was resolved to
-- the failed derivation, the build also gets the row of that resolution.
create or replace function resolver.record_failure_rows(p_goal resolver.goal, p_failure resolver.failure) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
begin
    if p_failure.failure is null or p_failure.build = p_goal.build and p_failure.stepnr is not null then
        return;
    end if;
    if p_goal.root <> p_goal.cause
       and exists (select from resolver.derivation_state s
                    where s.derivation = p_goal.root and s.stage = 'failed' and s.failed_dependency = p_goal.cause) then
        perform resolver.record_resolutions(array[p_goal.root], array[p_goal.cause], array[p_goal.build]);
    end if;
    perform resolver.record_steps(array[row(p_goal.build, p_goal.cause, 0, 0,
                                            case when p_goal.is_cached then 8 else p_failure.status end, p_failure.message,
                                            nullif(p_failure.build, p_goal.build), null)::resolver.new_step]);
end
$$;

comment on function resolver.record_failure_rows(resolver.goal, resolver.failure) is
    'Step rows of a build that failed because of another build''s attempt.';
revoke all on function resolver.record_failure_rows(resolver.goal, resolver.failure) from public;
