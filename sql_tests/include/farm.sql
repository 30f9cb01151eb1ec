-- A farm for a test: derivations by name, builds by job, a store that holds given paths, a clock that stands still.
--
-- Included by every file as its first line. It opens the transaction that `select * from t.done()` and a rollback end.
\set QUIET 1
\set ON_ERROR_STOP 1
begin;
set local client_min_messages = warning;
set local timezone = 'UTC';
select no_plan();

create schema t;

-- The clock stands until a test moves it.
create function t.at(p_time timestamptz) returns void language sql as $$
    select set_config('t.now', p_time::text, true)
$$;
create function t.pass(p_time interval) returns void language sql as $$
    select t.at(current_setting('t.now')::timestamptz + p_time)
$$;
create or replace function resolver.clock() returns timestamptz
    language sql volatile set search_path = pg_catalog, pg_temp
as $$
    select current_setting('t.now')::timestamptz
$$;
select t.at('2026-01-01 12:00:00+00');

-- The contents of .drv files; inputs are written as in Nix: 'b' is output out of b, 'b^out,dev' two outputs of b, 'b^out^dev' output
-- dev of the derivation that is output out of b.
create table t.node (
    name     text primary key,
    kind     text not null,
    system   text not null,
    features text[] not null,
    outputs  text[] not null,
    inputs   text[] not null
);
create table t.stored (path text primary key);
create table t.job (job text primary key, build integer not null);
create table t.claim (nr serial, verb text, name text, lease bigint, claim jsonb);
create index on t.claim (name, verb);

create function t.drv(p_name text) returns text language sql immutable as $$
    select md5('drv ' || p_name) || '-' || p_name || '.drv'
$$;
create function t.path(p_name text) returns text language sql immutable as $$
    select md5('path ' || p_name) || '-' || p_name
$$;
create function t.full(p_base_name text) returns text language sql immutable as $$
    select '/nix/store/' || p_base_name
$$;
create function t.named(p_drv text) returns text language sql immutable as $$
    select substring(p_drv from '.{32}-(.*)\.drv$')
$$;
create function t.output_path(p_name text, p_output text) returns text language sql immutable as $$
    select t.path(p_name || case when p_output <> 'out' then '-' || p_output else '' end)
$$;
create function t.number(p_name text) returns bigint language sql stable as $$
    select derivation from resolver.derivation where drv = t.drv(p_name)
$$;

create function t.derivation(p_name text, p_inputs text[] default '{}', p_kind text default 'floating',
                             p_outputs text[] default '{out}', p_system text default 'x86_64-linux',
                             p_features text[] default '{}') returns void language sql as $$
    insert into t.node values (p_name, p_kind, p_system, p_features, p_outputs, p_inputs)
$$;
create function t.store_has(p_path text) returns void language sql as $$
    insert into t.stored values (p_path) on conflict do nothing
$$;
create function t.store_loses(p_path text) returns void language sql as $$
    delete from t.stored where path = p_path
$$;
create function t.info() returns jsonb language sql immutable as $$
    select '{"size": 100, "closure_size": 300, "failed": false, "release_name": "tool-1.0",
             "products": [{"type": "nix-build", "subtype": "", "name": "out", "path": "/nix/store/x", "default_path": ""},
                          {"type": "file", "subtype": "tgz", "name": "x.tgz", "path": "/nix/store/x/x.tgz",
                           "default_path": "", "file_size": 7, "sha256": "ab"}],
             "metrics": [{"name": "speed", "value": 2.5, "unit": "m/s"}]}'::jsonb
$$;

-- Builds, as another program would insert them; t.want() makes goals of them, too.
insert into Users (userName, emailAddress, password) values ('someone', '', '');
insert into Projects (name, displayName, owner) values ('project', 'project', 'someone');
insert into Jobsets (project, name, nixExprInput, nixExprPath, emailOverride) values ('project', 'jobset', '', '', '');

create function t.build(p_job text, p_name text, p_priority integer default 0) returns integer language sql as $$
    with build as (
        insert into Builds (finished, timestamp, jobset_id, job, drvPath, system, priority)
        select 0, 1, j.id, p_job, t.full(t.drv(p_name)), 'x86_64-linux', p_priority
          from Jobsets j where j.project = 'project'
        returning id
    ), outputs as (
        insert into BuildOutputs (build, name) select b.id, o from build b, t.node n, unnest(n.outputs) o where n.name = p_name
    )
    insert into t.job select p_job, id from build returning build
$$;
create function t.id(p_job text) returns integer language sql stable as $$
    select build from t.job where job = p_job
$$;
create function t.want(p_job text, p_name text, p_priority integer default 0) returns void language sql as $$
    select t.build(p_job, p_name, p_priority);
    select resolver.sync_builds();
$$;

create function t.worker(p_name text default 'worker', p_systems text[] default '{x86_64-linux}', p_features text[] default '{}')
    returns integer language sql as $$
    select resolver.register_worker(p_name, '{load,resolve,build}', p_systems, p_features, '/nix/store', 'one')
$$;
create function t.worker_id(p_name text default 'worker') returns integer language sql stable as $$
    select max(worker) from resolver.worker where name = p_name
$$;
select t.worker();

-- Claims, kept by the name of the derivation. Returns the names, in the order of the queue.
create function t.claim(p_verb text, p_limit integer default 100, p_worker text default 'worker')
    returns text[] language sql as $$
    with claimed as (
        insert into t.claim (verb, name, lease, claim)
        select p_verb, t.named(c.drv), c.lease, to_jsonb(c)
          from resolver.claim_derivations(t.worker_id(p_worker), p_verb, p_limit) c
        returning nr, name
    )
    select coalesce(array_agg(name order by nr), '{}') from claimed
$$;
create function t.claimed(p_name text, p_verb text) returns jsonb language sql stable as $$
    select claim from t.claim where name = p_name and verb = p_verb order by nr desc limit 1
$$;
create function t.lease(p_name text, p_verb text) returns bigint language sql stable as $$
    select (t.claimed(p_name, p_verb) ->> 'lease')::bigint
$$;
create function t.ensure_claimed(p_name text, p_verb text) returns void language plpgsql as $$
begin
    if not exists (select from resolver.lease l where l.lease = t.lease(p_name, p_verb) and l.closed_at is null) then
        perform t.claim(p_verb);
    end if;
end
$$;

-- load: the report, made from t.node and t.stored.
create function t.loaded(p_name text) returns jsonb language sql stable as $$
    select coalesce((
        select jsonb_build_object(
                   'lease', t.lease(n.name, 'load'), 'drv', t.drv(n.name), 'name', n.name, 'system', n.system, 'kind', n.kind,
                   'features', to_jsonb(n.features), 'prefer_local', false,
                   'must_resolve', n.inputs <> '{}' and n.kind <> 'input-addressed',
                   'info', case when bool_and(o.valid) then t.info() end,
                   'outputs', jsonb_agg(to_jsonb(o)),
                   'inputs', (select coalesce(jsonb_agg(jsonb_build_object(
                                         'drv', t.drv(i[1]),
                                         'outputs', case when cardinality(i) < 3
                                                         then to_jsonb(string_to_array(coalesce(i[2], 'out'), ',')) else '[]' end)), '[]')
                                from unnest(n.inputs) x cross join string_to_array(x, '^') i))
               || coalesce((select jsonb_build_object('chains', jsonb_agg(jsonb_build_object(
                                       'drv', t.drv(i[1]), 'outputs', to_jsonb(i[2:]))))
                              from unnest(n.inputs) x cross join string_to_array(x, '^') i
                             where cardinality(i) > 2
                            having count(*) > 0), '{}')
          from t.node n
         cross join lateral (
               select x as name, p.path, exists (select from t.stored s where s.path = p.path) as valid
                 from unnest(n.outputs) x
                cross join lateral (
                      select coalesce(t.claimed(n.name, 'load') -> 'known' ->> x,
                                      case when n.kind in ('input-addressed', 'fixed') then t.output_path(n.name, x) end) as path) p) o
         where n.name = p_name
         group by n.name),
        jsonb_build_object('lease', t.lease(p_name, 'load'), 'drv', t.drv(p_name), 'failed',
                           '{"class": "unsupported", "status": 3, "message": "the .drv is not in the store"}'::jsonb))
$$;
create function t.load() returns void language plpgsql as $$
declare
    v_names text[];
begin
    for i in 1..1000 loop
        v_names := t.claim('load');
        if v_names = '{}' then
            return;
        end if;
        perform resolver.register_derivations((select jsonb_agg(t.loaded(n)) from unnest(v_names) n));
    end loop;
    raise exception 'there is no end of loading %', v_names;
end
$$;

-- resolve: the report for a claim, and the outcome of sending it. The derivation resolves to p_to.
create function t.resolution(p_name text, p_to text, p_confirmed text[] default '{}') returns jsonb language sql stable as $$
    select jsonb_build_object(
               'lease', t.lease(p_name, 'resolve'),
               'samples', (select coalesce(jsonb_agg(jsonb_build_array(i.key, o.key, o.value)), '[]')
                             from jsonb_each(coalesce(nullif(t.claimed(p_name, 'resolve') -> 'inputs', 'null'),
                                                      resolver.claimed_inputs(t.lease(p_name, 'resolve')))) i,
                                  jsonb_each_text(i.value) o),
               'info', t.info(),
               'resolved', case when p_to is not null then jsonb_build_object(
                   'drv', t.drv(p_to), 'name', p_to, 'system', n.system, 'kind', n.kind, 'features', to_jsonb(n.features),
                   'prefer_local', false, 'confirmed', to_jsonb(p_confirmed),
                   'outputs', (select jsonb_agg(jsonb_build_object('name', x, 'path', null, 'valid', false))
                                 from unnest(n.outputs) x)) end)
      from t.node n where n.name = p_name
$$;
create function t.resolve(p_name text, p_to text, p_confirmed text[] default '{}') returns text language plpgsql as $$
begin
    perform t.ensure_claimed(p_name, 'resolve');
    return (select outcome from resolver.set_resolved_to(jsonb_build_array(t.resolution(p_name, p_to, p_confirmed))));
end
$$;

-- build: the report of a success, and the outcome of sending it.
create function t.success(p_name text, p_paths jsonb default null, p_info jsonb default t.info()) returns jsonb language sql stable as $$
    select jsonb_build_object(
               'lease', t.lease(p_name, 'build'), 'info', p_info, 'machine', 'here', 'overhead', 5, 'times_built', 1,
               'outputs', coalesce(p_paths, (select jsonb_object_agg(o.name, coalesce(o.path, t.output_path(p_name, o.name)))
                                               from resolver.output o where o.derivation = t.number(p_name))))
$$;
create function t.finish(p_name text, p_paths jsonb default null, p_info jsonb default t.info()) returns text language plpgsql as $$
declare
    v_report jsonb;
begin
    perform t.ensure_claimed(p_name, 'build');
    v_report := t.success(p_name, p_paths, p_info);
    perform t.store_has(value) from jsonb_each_text(v_report -> 'outputs');
    return (select outcome from resolver.finish_steps(jsonb_build_array(v_report)));
end
$$;
create function t.failure(p_name text, p_class text default 'builder', p_status integer default 1) returns jsonb
    language sql stable as $$
    select jsonb_build_object('lease', t.lease(p_name, 'build'), 'class', p_class, 'status', p_status,
                              'message', p_name || ' is broken', 'machine', 'here')
$$;
create function t.fail(p_name text, p_class text default 'builder', p_status integer default 1) returns text language plpgsql as $$
begin
    perform t.ensure_claimed(p_name, 'build');
    return (select outcome from resolver.fail_steps(jsonb_build_array(t.failure(p_name, p_class, p_status))));
end
$$;

-- Works until nothing is left; x resolves to r-x, and every built output has the path of its name.
create function t.work() returns void language plpgsql as $$
declare
    v_names text[];
begin
    for i in 1..1000 loop
        perform t.load();
        v_names := t.claim('resolve');
        perform t.resolve(n, 'r-' || n) from unnest(v_names) n;
        if v_names = '{}' and t.claim('build') = '{}' then
            return;
        end if;
        perform t.finish(c.name) from (select c.name from t.claim c join resolver.lease l using (lease)
                                        where c.verb = 'build' and l.closed_at is null order by c.nr) c;
    end loop;
    raise exception 'there is no end of working at %', v_names;
end
$$;

-- Does the work of workers' ticks until nothing is left. Returns the number of calls.
create function t.go_on() returns integer language plpgsql as $$
begin
    for v_call in 1..500 loop
        if not resolver.sync_builds(p_all => false) and not resolver.advance() then
            return v_call;
        end if;
    end loop;
    raise exception 'there is no end of it: %', (select jsonb_agg(to_jsonb(w)) from (select * from resolver.propagation limit 10) w);
end
$$;

-- Queries of the state.
create function t.stage(p_name text) returns text language sql stable as $$
    select s.stage from resolver.derivation_state s where s.derivation = t.number(p_name)
$$;
create function t.watches(p_name text) returns text language sql stable as $$
    select t.named(i.drv) from resolver.watch w join resolver.derivation i on i.derivation = w.input
     where w.derivation = t.number(p_name)
$$;
create function t.steps(p_job text) returns text[] language sql stable as $$
    select coalesce(array_agg(concat_ws(' ', s.stepnr || ':', t.named(s.drvPath),
               case when s.busy <> 0 then 'building'
                    when s.status = 13 then 'resolved to ' || t.named(s.resolvedDrvPath)
                    when s.status = 0 and s.type = 1 then 'found'
                    when s.status = 0 then 'built'
                    else 'status ' || s.status end,
               'from ' || j.job) order by s.stepnr), '{}')
      from BuildSteps s left join t.job j on j.build = s.propagatedFrom
     where s.build = t.id(p_job)
$$;
create function t.ended(p_job text) returns text language sql stable as $$
    select case when b.finished = 0 then 'unfinished'
                else 'status ' || b.buildStatus || case when b.isCachedBuild = 1 then ' cached' else '' end end
      from Builds b where b.id = t.id(p_job)
$$;
create function t.outputs(p_job text) returns jsonb language sql stable as $$
    select jsonb_object_agg(o.name, o.path) from BuildOutputs o where o.build = t.id(p_job)
$$;

-- A digest of every table, ours and Hydra's: if it is equal before and after, nothing was changed.
create function t.everything() returns jsonb language plpgsql as $$
declare
    v_table regclass;
    v_rows  text;
    v_all   jsonb := '{}';
begin
    for v_table in
        select c.oid::regclass from pg_class c
         where c.relkind = 'r' and c.relnamespace in ('resolver'::regnamespace, 'public'::regnamespace)
         order by 1
    loop
        execute format('select md5(string_agg(r::text, '','' order by r::text)) from %s r', v_table) into v_rows;
        v_all := v_all || jsonb_build_object(v_table::text, coalesce(v_rows, 'empty'));
    end loop;
    return v_all;
end
$$;
create table t.kept (everything jsonb);
create function t.keep() returns void language sql as $$
    delete from t.kept;
    insert into t.kept select t.everything();
$$;
create function t.changed() returns text[] language sql as $$
    select coalesce(array_agg(n.key order by n.key), '{}')
      from t.kept k, jsonb_each(t.everything()) n where n.value <> k.everything -> n.key
$$;

-- Every move of every test is on the list of legal moves.
create table t.move (from_stage text, to_stage text, name text);
create function t.note_move() returns trigger language plpgsql as $$
begin
    insert into t.move select old.stage, new.stage, t.named(d.drv) from resolver.derivation d where d.derivation = new.derivation;
    return null;
end
$$;
create trigger record_move after update on resolver.derivation_state for each row
    when (old.stage <> new.stage) execute function t.note_move();

create function t.done() returns setof text language plpgsql as $$
begin
    return next is_empty('select * from resolver.invariant_violations()', 'no invariant is broken');
    return next is_empty('select m.* from t.move m where not exists (select from resolver.transition x
                           where x.from_stage = m.from_stage and x.to_stage = m.to_stage)',
                         'no derivation made a move that is not in the list of transitions');
    return next is((select count from NrBuilds where what = 'finished'),
                   (select count(*)::integer from Builds where finished = 1), 'the counter of finished builds is right');
    return query select * from finish();
end
$$;
