-- unconfirmed_outputs(resolved): outputs that are served for it, and that the report does not confirm as valid.
--
-- Returns   {name: path} as text; null when there is nothing to confirm.
create or replace function resolver.unconfirmed_outputs(p_resolved jsonb) returns text
    language sql stable
    set search_path = pg_catalog, pg_temp
as $$
    select jsonb_object_agg(o.name, o.path)::text
      from resolver.derivation d
      join resolver.output o on o.derivation = d.derivation and o.valid_since is not null
     where d.drv = p_resolved ->> 'drv'
       and not p_resolved -> 'confirmed' ? o.path
       and not exists (select from jsonb_to_recordset(p_resolved -> 'outputs') r (name text, path text, valid boolean)
                        where r.name = o.name and r.path = o.path and r.valid)
$$;

comment on function resolver.unconfirmed_outputs(jsonb) is
    'Known outputs of a resolved derivation that the caller has to confirm with the store.';
