-- Privileges: all grants in the catalog; tests/database/test_privileges.py tries out the roles.
begin;
set local client_min_messages = warning;
select no_plan();

create temporary view functions as
    select p.oid::regprocedure::text as signature, p.* from pg_proc p where p.pronamespace = 'resolver'::regnamespace;
create temporary view relations as
    select c.oid::regclass::text as name, c.* from pg_class c where c.relnamespace = 'resolver'::regnamespace;

-- One owner, who is no superuser: a SECURITY DEFINER function runs with the owner's rights.
select is((select rolsuper or rolcreaterole from pg_roles where rolname = current_user), false, 'the owner is a plain role');
select is_empty(
    $$select signature from functions where proowner <> (select nspowner from pg_namespace where nspname = 'resolver')
      union all
      select name from relations where relowner <> (select nspowner from pg_namespace where nspname = 'resolver')$$,
    'everything in the schema belongs to the owner of the schema');
select is((select nspowner from pg_namespace where nspname = 'resolver'), (select relowner from pg_class where oid = 'public.builds'::regclass),
          'the owner of the schema also owns Hydra''s tables');
select is_empty(
    $$select signature from functions where proleakproof or prosupport <> 0$$, 'no function is leakproof or has a support function');

-- By default no other role has privileges.
select is_empty(
    $$select r.name, a.grantee::regrole from relations r cross join aclexplode(r.relacl) a where a.grantee <> r.relowner$$,
    'no table, view or sequence is granted to another role');
select is_empty(
    $$select f.signature, a.grantee::regrole
        from functions f cross join aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) a
       where a.grantee <> f.proowner$$,
    'no function is granted to another role');
select is_empty(
    $$select a.grantee::regrole from pg_namespace n cross join aclexplode(n.nspacl) a
       where n.nspname = 'resolver' and a.grantee <> n.nspowner$$,
    'the schema is granted to no other role');
select is_empty(
    $$select r.name, a.attname from relations r join pg_attribute a on a.attrelid = r.oid where a.attacl is not null$$,
    'no column is granted to another role');
select is_empty(
    $$select d.defaclrole::regrole from pg_default_acl d where d.defaclnamespace = 'resolver'::regnamespace$$,
    'there are no default privileges');

-- `db grant` uses these two properties for the grants of a role.
select is_empty(
    $$select signature from functions
       where prosecdef and provolatile = 'v' and prosrc !~* '\m(lock_graph|insert into|update|delete from|sync_builds|process_reports|finish_steps|fail_steps|set_resolved_to|claim_builds)\M'$$,
    'a public function that only reads is not volatile: otherwise monitors could not call it');
select is_empty(
    $$select r.name from relations r where r.relkind = 'v' and exists (select from unnest(r.reloptions) o where o ~ 'security_invoker=(true|on)')$$,
    'views read with the owner''s rights');
select is_empty(
    $$select r.name, p.oid::regprocedure from relations r
        join pg_rewrite w on w.ev_class = r.oid
        join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid and d.refclassid = 'pg_proc'::regclass
        join pg_proc p on p.oid = d.refobjid
       where r.relkind = 'v' and p.pronamespace = 'resolver'::regnamespace$$,
    'views call no function of ours, since it would run with the rights of the caller');
select is_empty(
    $$select signature from functions
       where prosrc ~* '\m(set\s+role|session\s+authorization|copy\s+\w+\s+(from|to)|pg_read_file|pg_ls_dir|lo_import|dblink|set_config\(''(role|search_path))\M'$$,
    'no function changes roles, or reaches files or other servers');

-- A role that exists everywhere and has no grants.
select is_empty(
    $$select name from relations where relkind in ('r', 'v')
       and has_table_privilege('pg_signal_backend', oid, 'select, insert, update, delete, truncate, references, trigger')$$,
    'the role has no privilege on a table');
grant usage on schema resolver to pg_signal_backend;
select is_empty(
    $$select signature from functions where has_function_privilege('pg_signal_backend', oid, 'execute')$$,
    'the role may call no function, even with usage on the schema');
grant execute on function resolver.status() to pg_signal_backend;
select results_eq(
    $$select signature from functions where has_function_privilege('pg_signal_backend', oid, 'execute')$$,
    array['resolver.status()'], 'the role may call a function that is granted to it');

select * from finish();
rollback;
