-- first_difference(resolution, other): the first input of a resolution that had another path in the other one.
--
-- Returns   {"input", "output", "path", "before"}; before is null for an input that the other did not have, path for one that
--           only the other had; null: no difference.
-- Inputs are the same when their names and outputs are: their derivations differ as soon as anything below them does.
create or replace function resolver.first_difference(p_resolution bigint, p_other bigint) returns jsonb
    language sql stable
    set search_path = pg_catalog, pg_temp
as $$
    with sample as (
        select r.resolution, x.output, x.path, x.nr,
               -- The name of one that was forgotten stands in its path.
               coalesce(d.name, case when x.output = 'out' then substr(x.path, 34)
                                     else left(substr(x.path, 34), -1 - length(x.output)) end) as name
          from resolver.resolution r
         cross join unnest(r.inputs, r.outputs, r.paths) with ordinality x (input, output, path, nr)
          left join resolver.derivation d on d.derivation = x.input
         where r.resolution in (p_resolution, p_other)
    ), only_one as (
        -- Several inputs may have one name: those that both have are put aside, the others paired in their order.
        select s.*, row_number() over (partition by s.resolution, s.name, s.output order by s.nr) as pair
          from sample s
         where not exists (select from sample o where o.resolution <> s.resolution
                              and o.name = s.name and o.output = s.output and o.path = s.path)
    )
    select jsonb_build_object('input', coalesce(s.name, o.name), 'output', coalesce(s.output, o.output),
                              'path', s.path, 'before', o.path)
      from (select * from only_one x where x.resolution = p_resolution) s
      full join (select * from only_one x where x.resolution = p_other) o
        on o.name = s.name and o.output = s.output and o.pair = s.pair
     order by s.nr, o.nr
     limit 1
$$;

comment on function resolver.first_difference(bigint, bigint) is 'What changed between two resolutions, as far as inputs are concerned.';
