-- installed(): returns what is installed, and in which Hydra. Workers and monitors may read no table: they call this.
--
-- Returns   {"hydra": version of its schema, "migrations": {number: checksum}, "functions": digest of their files,
--           "counts_finished": whether NrBuilds has its row, "max_unsupported_time": seconds; null: no limit}
create or replace function resolver.installed() returns jsonb
    language sql stable security definer
    set search_path = pg_catalog, pg_temp
as $$
    select jsonb_build_object(
        'hydra', (select max(v.version) from public.SchemaVersion v),
        'migrations', (select jsonb_object_agg(m.number, m.checksum) from resolver.migration m),
        'functions', (select i.functions from resolver.installation i),
        'counts_finished', exists (select from public.NrBuilds n where n.what = 'finished'),
        'max_unsupported_time', (select extract(epoch from s.max_unsupported_time) from resolver.setting s))
$$;

comment on function resolver.installed() is 'The version of Hydra''s schema, and the installed migrations and functions.';
