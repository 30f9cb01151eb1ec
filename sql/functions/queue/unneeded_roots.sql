-- unneeded_roots(paths): returns the store paths that need no root any more: base names, of .drv files and of outputs.
--
-- A .drv is needed until it is built or has failed. An output is needed while an unfinished derivation uses it, and for a day after it
-- was found, or after a build ended whose output it is: by then hydra-update-gc-roots has made a root for it.
create or replace function resolver.unneeded_roots(p_paths text[]) returns text[]
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
    select coalesce(array_agg(p.path), '{}')
      from unnest(p_paths) p (path)
     where not exists (
               select from resolver.derivation d join resolver.derivation_state s on s.derivation = d.derivation
                where d.drv = p.path and s.stage not in ('realised', 'failed') and s.owner is not null)
       and not exists (
               select from resolver.output o
                where o.path = p.path
                  and (o.valid_since > resolver.clock() - interval '1 day'
                       or exists (select from resolver.goal g
                                   where g.root = o.derivation and coalesce(g.ended_at, 'infinity') > resolver.clock() - interval '1 day')))
       and not exists (
               select from resolver.output o
                 join resolver.dependency dep on dep.input = o.derivation and o.name = any (dep.outputs)
                 join resolver.derivation_state s on s.derivation = dep.derivation
                where o.path = p.path and o.valid_since is not null and s.stage not in ('realised', 'failed')
                  and s.owner is not null)
$$;

comment on function resolver.unneeded_roots(text[]) is 'The store paths of these that need no garbage collector root any more.';
