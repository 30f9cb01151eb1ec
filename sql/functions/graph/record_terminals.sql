-- record_terminals(ended): a build that has the row of a resolution also gets the row of the resolved derivation.
--
-- Hydra's pages look for that row within the build. If the derivation was built for another build, or long ago, the row has type 1.
create or replace function resolver.record_terminals(p_ended resolver.ended[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_directory text := resolver.hydra_path('');
    v_steps     resolver.new_step[];
begin
    v_steps := array(
        select distinct on (r.build, e.origin) row(r.build, e.origin, 1, 0, 0, null, null, null)::resolver.new_step
          from unnest(p_ended) e
          join resolver.resolution r on r.derivation = e.derivation and r.released_at is null and r.build + 0 is not null
          join resolver.derivation d on d.derivation = e.origin
         where e.derivation <> e.origin
           and not exists (select from resolver.output o
                            where o.derivation = e.derivation and o.is_wanted and o.valid_since is null)
           and not exists (select from public.BuildSteps t
                            where t.build + 0 = r.build and t.status = 0 and t.drvPath = v_directory || d.drv)
         order by r.build, e.origin);
    perform resolver.record_steps(v_steps);
end
$$;

comment on function resolver.record_terminals(resolver.ended[]) is
    'Step rows of type 1 for resolved derivations that were not built on the account of the builds that resolved to them.';
