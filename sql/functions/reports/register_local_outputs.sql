-- register_local_outputs(outputs): [{"drv", "name", "path"}]: records paths that another component found valid in the store.
--
-- Returns   the number of derivations with newly valid outputs. The call ignores derivations that are unknown here or not loaded,
--           paths that are no store paths, and paths that differ from one that is known in advance.
-- Stages    any stage but realised, building and failed -> realised, if all wanted outputs are valid
-- Locks     the graph lock
create or replace function resolver.register_local_outputs(p_outputs jsonb) returns integer
    language plpgsql volatile security definer
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_new bigint[];
begin
    perform resolver.lock_graph();
    v_new := resolver.record_outputs(
        (select coalesce(jsonb_agg(o.output || jsonb_build_object('drv', resolver.base_name(o.output ->> 'drv'),
                                                       'path', resolver.base_name(o.output ->> 'path'), 'valid', true)), '[]')
           from jsonb_array_elements(p_outputs) o (output)
           join resolver.derivation d on d.drv = resolver.base_name(o.output ->> 'drv')
           join resolver.derivation_state s on s.derivation = d.derivation and s.stage not in ('building', 'failed')
           join resolver.output x on x.derivation = d.derivation and x.name = o.output ->> 'name'
          where resolver.base_name(o.output ->> 'path') ~ '^[0-9a-z]{32}-.'
            and (d.kind in ('floating', 'deferred') or x.path = resolver.base_name(o.output ->> 'path'))), 'local');
    perform resolver.revoke_leases(
        array(select s.lease from resolver.derivation_state s
               where s.derivation = any (v_new) and s.lease is not null),
        'stale', null, false);
    perform resolver.complete_derivations(array(
        select row(s.derivation, s.derivation, null, null)::resolver.ended
          from resolver.derivation_state s
         where s.derivation = any (v_new) and s.stage not in ('failed', 'realised')
         order by s.derivation));
    perform resolver.run_deferred_work(50);
    return cardinality(v_new);
end
$$;

comment on function resolver.register_local_outputs(jsonb) is
    'For other components: these outputs are valid in the store. drv and path may be base names or full paths.';
