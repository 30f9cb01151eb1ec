-- release_ownership(build, after, limit): the derivations that a build owns get another owner, or none.
--
-- Returns   whether there is more.
-- Locks     the caller holds the graph lock. The build has no goal, or its goal has ended. open_goals() does not open the build again
--           while this goes on: otherwise the build would count these derivations as wanted already.
create or replace function resolver.release_ownership(p_build bigint, p_after bigint, p_limit integer) returns boolean
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_owned bigint[] := array(
        select s.derivation from resolver.derivation_state s
         where s.owner = p_build and s.owner > 0 and s.stage not in ('realised', 'failed') and s.derivation + 0 > p_after
         order by s.derivation + 0 limit p_limit);
begin
    perform resolver.find_owners(v_owned);
    if cardinality(v_owned) < p_limit then
        return false;
    end if;
    insert into resolver.propagation (kind, subject, after) values ('disown', p_build, v_owned[p_limit])
    on conflict (kind, subject) do update set after = excluded.after;
    return true;
end
$$;

comment on function resolver.release_ownership(bigint, bigint, integer) is 'The derivations of a build get another owner, or none.';
revoke all on function resolver.release_ownership(bigint, bigint, integer) from public;
