-- failure_of_goal(goal): returns the failure that ended a goal. It may have been cleared since, if another transaction held the build's row.
create or replace function resolver.failure_of_goal(p_goal resolver.goal) returns resolver.failure
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select f
          from resolver.failure f
         where f.derivation = p_goal.cause and f.time <= p_goal.ended_at and (f.cleared_at is null or f.cleared_at >= p_goal.ended_at)
         order by f.failure desc
         limit 1);
end
$$;

comment on function resolver.failure_of_goal(resolver.goal) is 'The failure that ended a goal; null if the goal ended otherwise.';
revoke all on function resolver.failure_of_goal(resolver.goal) from public;
