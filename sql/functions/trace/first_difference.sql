-- first_difference(resolution, other): the first input of a resolution that had another path in the other one.
--
-- Returns   {"input", "output", "path", "before"}; before is null for an input that the other did not have; null: no difference.
-- Inputs are the same when their names and outputs are: their derivations differ as soon as anything below them does.
create or replace function resolver.first_difference(p_resolution bigint, p_other bigint) returns jsonb
    language sql stable
    set search_path = pg_catalog, pg_temp
as $$
    with sample as (
        select r.resolution, coalesce(d.name, d.drv) as name, x.output, x.path, x.nr
          from resolver.resolution r
         cross join unnest(r.inputs, r.outputs, r.paths) with ordinality x (input, output, path, nr)
          left join resolver.derivation d on d.derivation = x.input
         where r.resolution in (p_resolution, p_other)
    )
    select jsonb_build_object('input', s.name, 'output', s.output, 'path', s.path, 'before', o.path)
      from sample s
      left join sample o on o.resolution = p_other and o.name = s.name and o.output = s.output
     where s.resolution = p_resolution and s.path is distinct from o.path
     order by s.nr
     limit 1
$$;

comment on function resolver.first_difference(bigint, bigint) is 'What changed between two resolutions, as far as inputs are concerned.';
