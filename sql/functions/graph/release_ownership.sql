-- release_ownership(build, after, limit): the build does not need anything any more: what it owned looks for another owner.
--
-- Returns   whether there is more.
-- Locks     the caller holds the graph lock. The build is no goal, or has ended: while this goes on it is not opened again, see
--           open_goals(); else it would take what it needs for wanted already.
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

comment on function resolver.release_ownership(bigint, bigint, integer) is 'What a build owned gets another owner, or none.';
revoke all on function resolver.release_ownership(bigint, bigint, integer) from public;
