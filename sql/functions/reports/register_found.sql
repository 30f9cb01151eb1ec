-- register_found(reports, derivations): records outputs as load found them: valid ones get a step row of type 1, lost ones are withdrawn.
--
-- If the build has a row that says the same, such as a row of an old runner which built the derivation, it gets no second row.
-- Locks     the caller holds the graph lock.
create or replace function resolver.register_found(p_reports jsonb, p_derivations bigint[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_directory text := resolver.hydra_path('');
    v_outputs   jsonb;
    v_found     bigint[];
begin
    select coalesce(jsonb_agg(o.output || jsonb_build_object('drv', r.drv)), '[]') into v_outputs
      from jsonb_to_recordset(p_reports) r (drv text, outputs jsonb)
     cross join jsonb_array_elements(r.outputs) o (output);

    with unknown as (
        delete from resolver.output o
         where o.derivation = any (p_derivations)
           and not exists (select from jsonb_to_recordset(v_outputs) r (drv text, name text)
                             join resolver.derivation d on d.drv = r.drv
                            where d.derivation = o.derivation and r.name = o.name)
        returning o.derivation
    )
    insert into resolver.propagation as w (kind, subject) select distinct 'missing', u.derivation from unknown u
    on conflict (kind, subject) do update set after = 0 where w.after > 0;
    perform resolver.invalidate_outputs(array(
        select o.path
          from jsonb_to_recordset(v_outputs) r (drv text, name text, path text, valid boolean)
          join resolver.derivation d on d.drv = r.drv
          join resolver.output o on o.derivation = d.derivation and o.name = r.name
         where o.valid_since is not null and not r.valid));

    v_found := resolver.record_outputs(v_outputs, 'local');
    if cardinality(v_found) = 0 then
        return;
    end if;
    perform resolver.record_steps(array(
        select row(a.build, d.derivation, 1, 0, 0, null, null, null)::resolver.new_step
          from unnest(v_found) x
          join resolver.derivation d on d.derivation = x
         cross join lateral (select resolver.attributed_build(x) as build offset 0) a
         where not exists (
               select from public.BuildSteps s
                where s.build + 0 = a.build and s.status = 0 and s.drvPath = v_directory || d.drv
                  and not exists (
                      select from resolver.output o
                        left join public.BuildStepOutputs p on p.build = s.build and p.stepnr = s.stepnr and p.name = o.name
                       where o.derivation = x and o.valid_since is not null and p.path is distinct from v_directory || o.path))
         order by x));
end
$$;

comment on function resolver.register_found(jsonb, bigint[]) is 'Records outputs as load found them in the store.';
