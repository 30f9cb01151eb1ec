-- as_follower(ended, derivation): returns the end of a derivation that was resolved to one that has ended.
--
-- If the follower serves another path, it gets no info: the info describes the path of the resolved derivation.
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

comment on function resolver.as_follower(resolver.ended, bigint) is 'The end of a derivation that was resolved to one that has ended.';
revoke all on function resolver.as_follower(resolver.ended, bigint) from public;
