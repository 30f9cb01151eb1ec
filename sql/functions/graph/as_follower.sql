-- as_follower(ended, derivation): how a derivation ends that was resolved to one which has ended so.
--
-- What was read of other paths than those that the follower serves is no info of it.
create or replace function resolver.as_follower(p_ended resolver.ended, p_derivation bigint) returns resolver.ended
    language plpgsql stable
    set search_path = pg_catalog, pg_temp
as $$
begin
    return row(p_derivation, p_ended.derivation,
               case when p_ended.info is not null
                     and not exists (select from resolver.output f
                                       join resolver.output o on o.derivation = p_ended.derivation and o.name = f.name
                                      where f.derivation = p_derivation and f.valid_since is not null and f.path <> o.path)
                    then p_ended.info end, p_ended.built_for)::resolver.ended;
end
$$;

comment on function resolver.as_follower(resolver.ended, bigint) is 'The end of what was resolved to a derivation that has ended.';
revoke all on function resolver.as_follower(resolver.ended, bigint) from public;
