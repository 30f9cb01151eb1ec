-- record_outputs(outputs, source): records [{"drv", "name", "path", "valid"}], as a caller found them in the store; "build" if the
-- output was found for another build than the owner.
--
-- Returns   the derivations with outputs that were not known to be valid before.
-- Locks     the caller holds the graph lock.
-- Derivations that wait for these outputs look for their next input.
-- The first valid path of an output is served until it is lost: another path goes into the trace only.
create or replace function resolver.record_outputs(p_outputs jsonb, p_source text) returns bigint[]
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now timestamptz := resolver.clock();
    v_new bigint[];
begin
    insert into resolver.output as o (derivation, name, path, is_wanted)
    select d.derivation, r.name, r.path,
           exists (select from resolver.goal g where g.root = d.derivation and g.root > 0 and g.ended_at is null)
      from jsonb_to_recordset(p_outputs) r (drv text, name text, path text, valid boolean)
      join resolver.derivation d on d.drv = r.drv
     order by 1, 2
    on conflict (derivation, name) do update
       set path = excluded.path
     where excluded.path is distinct from o.path and excluded.path is not null and o.valid_since is null;

    with valid as (
        select d.derivation, r.name, r.path, r.build
          from jsonb_to_recordset(p_outputs) r (drv text, name text, path text, valid boolean, build integer)
          join resolver.derivation d on d.drv = r.drv
         where r.valid
    ), served as (
        update resolver.output o set path = v.path, valid_since = v_now, lost_at = null
          from valid v
         where o.derivation = v.derivation and o.name = v.name and o.valid_since is null
        returning o.derivation
    ), traced as (
        insert into resolver.realisation (derivation, output, path, source, build, time)
        select v.derivation, v.name, v.path, p_source, coalesce(v.build, s.owner), v_now
          from valid v join resolver.derivation_state s on s.derivation = v.derivation
        on conflict (derivation, output, path) where ceased_at is null and derivation > 0 do nothing
    )
    select coalesce(array_agg(distinct s.derivation), '{}') into v_new from served s;
    -- A dependent may wait for one output only, even if that does not realise the derivation of the output.
    perform resolver.notify_watchers(v_new);
    return v_new;
end
$$;

comment on function resolver.record_outputs(jsonb, text) is
    'Outputs and their validity as found in the store; returns the derivations with newly valid outputs.';
