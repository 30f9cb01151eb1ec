-- The schema itself: rules for every function, table, view and type, also for new ones.
\ir include/farm.sql
rollback;
begin;
select no_plan();

create temporary view functions as
    select p.oid::regprocedure::text as name, p.* from pg_proc p
     where p.pronamespace = 'resolver'::regnamespace;
create temporary view relations as
    select c.oid::regclass::text as name, c.* from pg_class c
     where c.relnamespace = 'resolver'::regnamespace;

-- Functions.
select cmp_ok((select count(*) from functions), '>', 70::bigint, 'there are functions to look at');
select is_empty(
    $$select name from functions
       where not exists (select from unnest(proconfig) s where s like 'search\_path=%' and s ~ '\mpg_temp$')$$,
    'every function pins its search_path, which ends in pg_temp');
select is_empty(
    $$select name from functions
       where exists (select from unnest(proconfig) s where s like 'search\_path=%' and s !~ '=pg_catalog, (public, )?pg_temp$')$$,
    'every search_path begins with pg_catalog, and has at most Hydra''s schema in between');
select is_empty(
    $$select name from functions
       where proacl is null or exists (select from aclexplode(proacl) a where a.grantee = 0)$$,
    'no function can be executed by PUBLIC');
select is_empty($$select name from functions where obj_description(oid, 'pg_proc') is null$$, 'every function has a comment');
select is_empty($$select name from functions where prosrc ~* '\mexecute\M(?! function)'$$, 'no function has dynamic SQL');
select set_eq($$select proname from functions where prosrc ~* '\mexception\s+when\M'$$,
              array['record_runner_start', 'process_reports', 'sync_goals', 'run_deferred_work', 'record_ends']::name[],
              'a subtransaction begins only where the failure of one element must not undo the others');
select is_empty($$select name from functions where prolang not in (select oid from pg_language where lanname in ('sql', 'plpgsql'))$$,
                'all functions are in SQL or PL/pgSQL');
select set_eq(
    $$select distinct proname from functions where prosecdef$$,
    array['advance', 'all_finished', 'build_graph', 'build_report', 'cancel_build', 'check_store', 'claim_derivations', 'claimed_inputs', 'clear_failures', 'dependents', 'dump_status', 'end_builds', 'enqueue', 'explain', 'fail_step',
          'fail_steps', 'finish_step', 'finish_steps', 'has_work', 'heartbeat', 'blocking_derivations', 'installed', 'invariant_violations', 'keep_history', 'lease_time', 'machines', 'known_outputs', 'output_paths', 'prunable_paths', 'prune',
          'queue_runner_status', 'register_derivations', 'register_local_outputs', 'register_worker', 'release_claims', 'release_other_claims', 'restart_build',
          'savings', 'set_resolved_to', 'status', 'record_step_start', 'sweep', 'sync_builds', 'trace', 'unneeded_roots', 'invalidate_paths', 'report_dead_workers', 'deregister_worker']::name[],
    'public functions are SECURITY DEFINER, and no other function is');
select is_empty(
    $$select name from functions where prosrc ~ 'lock_graph\(\)' and provolatile <> 'v'$$,
    'every function that takes the graph lock is volatile: a stable function would go on with an older snapshot');
select is_empty(
    $$select name from functions where provolatile <> 'v' and prosrc ~* '\m(insert into|update|delete from|for update|for key share)\M'$$,
    'every function that writes is volatile');
select is_empty(
    $$select name from functions where prosrc ~* 'for update' and prosrc !~* 'skip locked' and proname <> 'lock_graph'$$,
    'no function waits for a row lock, except for the graph lock');
select is_empty(
    $$select f.name, c.lineno, c.message
        from functions f join pg_language l on l.oid = f.prolang and l.lanname = 'plpgsql'
       cross join plpgsql_check_function_tb(f.oid, case f.proname when 'record_move' then 'resolver.derivation_state'::regclass
                                                                  when 'record_output_change' then 'resolver.output'::regclass else 0 end,
                                            fatal_errors => false, extra_warnings => true) c$$,
    'plpgsql_check finds nothing');
select set_eq(
    $$select distinct m[1] from functions, regexp_matches(prosrc, 'errcode = ''(NX[0-9]{3})''', 'g') m$$,
    array['NX010', 'NX011', 'NX012', 'NX013', 'NX014', 'NX015', 'NX016', 'NX017', 'NX018', 'NX019', 'NX020'], 'the error codes');
select is_empty(
    $$select name from functions
       where (select count(*) from regexp_matches(prosrc, 'errcode = ''NX', 'g')) <> all (array[
             (select count(*) from regexp_matches(prosrc, '\mdetail = ', 'g')), (select count(*) from regexp_matches(prosrc, '\mhint = ', 'g'))])$$,
    'every error has a DETAIL and a HINT');

-- Tables, views, types.
select is(obj_description('resolver'::regnamespace, 'pg_namespace') is not null, true, 'the schema has a comment');
select is_empty($$select name from relations where relkind in ('r', 'v') and obj_description(oid, 'pg_class') is null$$,
                'every table and view has a comment');
select is_empty(
    $$select t.oid::regtype from pg_type t join pg_class c on c.oid = t.typrelid and c.relkind = 'c'
       where t.typnamespace = 'resolver'::regnamespace and obj_description(t.oid, 'pg_type') is null$$, 'every type has a comment');
select is_empty(
    $$select r.name, a.attname from relations r join pg_attribute a on a.attrelid = r.oid and a.attnum > 1 and not a.attisdropped
       where r.relname in ('derivation', 'derivation_state', 'output') and a.attname <> 'name' and a.attname <> 'drv'
         and not exists (select from pg_constraint k where k.conrelid = r.oid and k.contype = 'p' and a.attnum = any (k.conkey))
         and col_description(r.oid, a.attnum) is null$$, 'every column with the state of a derivation has a comment');
select is_empty(
    $$select r.name from relations r
       where r.relkind in ('r', 'v') and exists (select from aclexplode(r.relacl) a where a.grantee <> r.relowner)$$,
    'tables and views are private');
select is((select exists (select from aclexplode(nspacl) a where a.grantee = 0) from pg_namespace where nspname = 'resolver'), false,
          'the schema is private');
select is_empty(
    $$select r.name from relations r
       where r.relkind = 'r' and not exists (select from pg_constraint k where k.conrelid = r.oid and k.contype = 'p')$$,
    'every table has a primary key');
select set_eq(
    $$select k.conname from pg_constraint k
       where k.connamespace = 'resolver'::regnamespace and k.contype = 'f'
         and not exists (select from pg_index i
                          where i.indrelid = k.conrelid and (i.indkey::smallint[])[0:cardinality(k.conkey) - 1] @> k.conkey
                            and (i.indpred is null
                                 or pg_get_expr(i.indpred, i.indrelid) = (
                                    select format('(%I IS NOT NULL)', a.attname) from pg_attribute a
                                     where a.attrelid = k.conrelid and a.attnum = k.conkey[1])))$$,
    array['lease_worker_fkey']::name[],
    'every foreign key has an index that begins with its columns; one has an index of open leases only: no worker is ever deleted');
select is_empty(
    $$select k.conrelid::regclass, k.conname from pg_constraint k join pg_class c on c.oid = k.confrelid
       where k.contype = 'f' and (k.connamespace = 'resolver'::regnamespace) <> (c.relnamespace = 'resolver'::regnamespace)$$,
    'no foreign key leads to Hydra''s tables, or from them to ours');
select is_empty(
    $$select t.tgname, t.tgrelid::regclass from pg_trigger t join pg_proc p on p.oid = t.tgfoid
       where not t.tgisinternal and (p.pronamespace = 'resolver'::regnamespace
             or t.tgrelid in (select oid from relations))$$,
    'we have no triggers on Hydra''s tables, nor, until history is kept, on ours');
select bag_eq(
    $$select t.tgname from pg_trigger t join pg_class c on c.oid = t.tgrelid and c.relnamespace = 'public'::regnamespace where not t.tgisinternal$$,
    array['buildbumped', 'buildcancelled', 'buildrestarted', 'buildsdeleted', 'jobsetshareschanged', 'nrbuildsfinished']::name[],
    'Hydra''s tables have Hydra''s triggers');
select is_empty(
    $$select r.name from relations r where r.relkind = 'r' and r.relname in ('derivation_state', 'watch')
         and not exists (select from unnest(r.reloptions) o where o like 'autovacuum%')$$, 'hot tables have their own autovacuum settings');
select is_empty(
    $$select k.conrelid::regclass, k.conname from pg_constraint k
       where k.connamespace = 'resolver'::regnamespace and k.contype = 'c' and k.conname ~ '_check[0-9]*$'$$,
    'every CHECK has a name that says what it checks: the name is the error message');

-- Stages.
create temporary view stages as
    select m[1] as stage from pg_constraint, regexp_matches(pg_get_constraintdef(oid), '''([a-z]+)''::text', 'g') m
     where conrelid = 'resolver.derivation_state'::regclass and conname = 'state_stage_known';
select set_eq('select stage from stages', array['unloaded', 'waiting', 'resolvable', 'resolved', 'buildable', 'building', 'realised', 'failed'],
              'the stages that the CHECK knows');
select set_eq('select from_stage from resolver.transition union select to_stage from resolver.transition', 'select stage from stages',
              'the list of transitions has the same stages');
select is_empty('select * from resolver.transition where from_stage = to_stage', 'a transition leads to another stage');
select is_empty(
    $$select * from resolver.transition x where not exists (select from functions f where f.proname = x.procedure)$$,
    'a function makes each transition');
select is_empty(
    $$select x.* from resolver.transition x
       where not exists (select from functions f where f.proname = x.procedure and f.prosrc like '%''' || x.to_stage || '''%')$$,
    'this function writes the stage');
select is_empty(
    $$with recursive reached (stage) as (
          select 'unloaded' union select x.to_stage from reached r join resolver.transition x on x.from_stage = r.stage)
      select stage from stages except select stage from reached$$, 'every stage can be reached');
select is_empty(
    $$select stage from stages except select from_stage from resolver.transition$$, 'every stage can be left');

-- Views of invariants.
select is_empty(
    $$select r.name from relations r
       where r.relkind = 'v' and r.relname like 'check\_%'
         and (select prosrc from functions where proname = 'invariant_violations') not like '%resolver.' || r.relname || ' having%'$$,
    'invariant_violations() asks every check_* view');
select is_empty('select * from resolver.invariant_violations()', 'invariant_violations() finds nothing in an empty database');

select * from finish();
rollback;
