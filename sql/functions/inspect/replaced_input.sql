-- replaced_input: realised derivations that were made from a path that was lost since, and replaced by another one.
--
-- That is no fault: a lost output is built again, and may differ. A derivation that uses both, directly or not, has a mixture.
create or replace view resolver.replaced_input as
    select d.drv, r.resolution, r.build, i.drv as input, x.output, x.path,
           (select max(n.ceased_at) from resolver.realisation n
             where n.derivation in (select x.input union all
                                    select s.resolved from resolver.resolution s where s.derivation = x.input)
               and n.output = x.output and n.path = x.path) as ceased_at,
           o.path as new_path
      from resolver.resolution r
      join resolver.derivation_state s on s.derivation = r.derivation and s.stage = 'realised'
      join resolver.derivation d on d.derivation = r.derivation
     cross join unnest(r.inputs, r.outputs, r.paths) x (input, output, path)
      join resolver.output o
        on o.derivation = x.input and o.name = x.output and o.valid_since is not null and o.path <> x.path
      join resolver.derivation i on i.derivation = x.input
     where r.released_at is null;

comment on view resolver.replaced_input is
    'Realised derivations that were made from a path which was lost since, and replaced by another one.';
