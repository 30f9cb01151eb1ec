-- invariant_violations(): returns the check_* views that have rows, and how many.
create or replace function resolver.invariant_violations() returns table (check_view text, violations bigint)
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
    select 'check_watching', count(*) from resolver.check_watching having count(*) > 0
    union all select 'check_watched_input', count(*) from resolver.check_watched_input having count(*) > 0
    union all select 'check_ready', count(*) from resolver.check_ready having count(*) > 0
    union all select 'check_chain', count(*) from resolver.check_chain having count(*) > 0
    union all select 'check_following', count(*) from resolver.check_following having count(*) > 0
    union all select 'check_owner', count(*) from resolver.check_owner having count(*) > 0
    union all select 'check_realised', count(*) from resolver.check_realised having count(*) > 0
    union all select 'check_wanted', count(*) from resolver.check_wanted having count(*) > 0
    union all select 'check_lease', count(*) from resolver.check_lease having count(*) > 0
    union all select 'check_busy', count(*) from resolver.check_busy having count(*) > 0
    union all select 'check_resolution', count(*) from resolver.check_resolution having count(*) > 0
    union all select 'check_sampled_path', count(*) from resolver.check_sampled_path having count(*) > 0
    union all select 'check_one_path', count(*) from resolver.check_one_path having count(*) > 0
    union all select 'check_failed_dependency', count(*) from resolver.check_failed_dependency having count(*) > 0
    union all select 'check_references', count(*) from resolver.check_references having count(*) > 0
    union all select 'check_goal', count(*) from resolver.check_goal having count(*) > 0
$$;

comment on function resolver.invariant_violations() is
    'The check_* views that have rows, with their numbers of rows; empty in a sound database.';
