-- first_difference(resolution, other): returns the first input of a resolution that has another path in the other resolution.
--
-- Returns   {"input", "output", "path", "before"}; before is null if only the first resolution has the input, path is null if only
--           the other one has it; null: no difference.
-- Two inputs are the same if their names and outputs are: their derivations differ as soon as anything below them differs.
create or replace function resolver.first_difference(p_resolution bigint, p_other bigint) returns jsonb
    language sql stable
    set search_path = pg_catalog, pg_temp
as $$
    with sample as (
        select r.resolution, x.output, x.path, x.nr,
               -- If the input was pruned, its path contains its name.
               coalesce(d.name, case when x.output = 'out' then substr(x.path, 34)
                                     else left(substr(x.path, 34), -1 - length(x.output)) end) as name
          from resolver.resolution r
         cross join unnest(r.inputs, r.outputs, r.paths) with ordinality x (input, output, path, nr)
          left join resolver.derivation d on d.derivation = x.input
         where r.resolution in (p_resolution, p_other)
    ), only_one as (
        -- Several inputs may have one name: inputs that both have are left out, the others are paired in their order.
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

comment on function resolver.first_difference(bigint, bigint) is 'The first input that changed between two resolutions.';
