-- A farm for isolation specs: loaded into the database of which each spec gets a copy.
--
-- setup    { call t.farm('a b top<a,b', 'top'); }     a graph, and the enqueued jobs (no braces within braces)
-- teardown { call t.clean(); }
create schema t;
create table t.input (name text primary key, inputs text[] not null);

create function t.drv(p_name text) returns text language sql immutable as $$
    select md5('drv ' || p_name) || '-' || p_name || '.drv'
$$;
create function t.path(p_name text) returns text language sql immutable as $$
    select md5('path ' || p_name) || '-' || p_name
$$;
create function t.named(p_drv text) returns text language sql immutable as $$
    select substring(p_drv from '.{32}-(.*)\.drv$')
$$;
create function t.lease(p_name text) returns bigint language sql stable as $$
    select max(l.lease) from resolver.lease l join resolver.derivation d on d.derivation = l.derivation where d.drv = t.drv(p_name)
$$;
create function t.info() returns jsonb language sql immutable as $$
    select '{"size": 1, "closure_size": 2, "failed": false, "release_name": null, "products": [], "metrics": []}'::jsonb
$$;

-- The report of load.
create function t.loaded(p_lease bigint, p_drv text) returns jsonb language sql stable as $$
    select jsonb_build_object(
               'lease', p_lease, 'drv', p_drv, 'name', i.name, 'system', 'x86_64-linux', 'kind', 'floating', 'features', '[]'::jsonb,
               'prefer_local', false, 'must_resolve', i.inputs <> '{}',
               'outputs', '[{"name": "out", "path": null, "valid": false}]'::jsonb,
               'inputs', (select coalesce(jsonb_agg(jsonb_build_object('drv', t.drv(x), 'outputs', '["out"]'::jsonb)), '[]')
                            from unnest(i.inputs) x))
      from t.input i where i.name = t.named(p_drv)
$$;

create function t.enqueue(p_jobs text) returns void language sql as $$
    select resolver.enqueue('project', 'jobset', 'file', (
        select jsonb_agg(jsonb_build_object('job', j, 'drv', '/nix/store/' || t.drv(j), 'system', 'x86_64-linux', 'nix_name', j,
                                            'outputs', '{"out": null}'::jsonb) order by nr)
          from string_to_table(p_jobs, ' ') with ordinality u (j, nr)), null, true)
$$;

-- The graph is loaded, and worker 1 builds the derivations without inputs. Worker 2 has no claim.
create procedure t.farm(p_graph text, p_jobs text, p_claim boolean default true) language plpgsql as $$
declare
    v_reports jsonb;
begin
    insert into t.input
    select split_part(x, '<', 1), string_to_array(split_part(x, '<', 2), ',') from string_to_table(p_graph, ' ') x;
    perform resolver.register_worker(name, '{load,resolve,build}', '{x86_64-linux}', '{}', '/nix/store', 'one')
       from unnest('{one,two}'::text[]) name;
    perform t.enqueue(p_jobs);
    while resolver.sync_builds() loop
    end loop;
    loop
        select jsonb_agg(t.loaded(c.lease, c.drv)) into v_reports from resolver.claim_derivations(1, 'load', 100) c;
        exit when v_reports is null or not p_claim;
        perform resolver.register_derivations(v_reports);
    end loop;
    if p_claim then
        perform resolver.claim_derivations(1, 'build', 100);
    else
        perform resolver.release_claims(1, array(select lease from resolver.lease where closed_at is null), 'setup');
    end if;
end
$$;
create procedure t.clean() language plpgsql as $$
begin
    truncate t.input, resolver.worker, resolver.derivation, resolver.watch, resolver.output, resolver.dependency,
             resolver.realisation, resolver.resolution, resolver.propagation, resolver.store, resolver.goal, public.Users, public.Builds,
             public.EvaluationErrors, public.NrBuilds restart identity cascade;
    insert into public.NrBuilds values ('finished', 0);
end
$$;

create procedure t.release() language plpgsql as $$
begin
    perform resolver.release_claims(1, array(select lease from resolver.lease where closed_at is null), 'setup');
end
$$;

-- A failpoint stops a session that comes to it while another session holds it: t.hold('POINT'), t.let_go('POINT'). It does not stop
-- a session that has run: set t.pass = 'on'.
create function t.hold(p_point text) returns void language sql as $$ select pg_advisory_lock(hashtext(p_point)) $$;
create function t.let_go(p_point text) returns void language sql as $$ select pg_advisory_unlock(hashtext(p_point)) $$;
create or replace function resolver.failpoint(p_point text) returns void
    language plpgsql volatile set search_path = pg_catalog, pg_temp
as $$
begin
    if current_setting('t.pass', true) is distinct from 'on' then
        perform pg_advisory_lock_shared(hashtext(p_point));
        perform pg_advisory_unlock_shared(hashtext(p_point));
    end if;
end
$$;

create function t.found(p_name text) returns jsonb language sql stable as $$
    select jsonb_build_array(jsonb_build_object('drv', t.drv(p_name), 'name', 'out', 'path', t.path(p_name)))
$$;
-- Worker 1 has been silent for an hour.
create procedure t.silence() language sql as $$
    update resolver.worker set heartbeat = heartbeat - interval '1 hour' where worker = 1
$$;

create function t.success(p_name text, p_log text default null) returns jsonb language sql stable as $$
    select jsonb_build_array(jsonb_build_object('lease', t.lease(p_name), 'info', t.info(), 'machine', 'here', 'log', p_log,
                                                'outputs', jsonb_build_object('out', t.path(p_name))))
$$;
create function t.failure(p_name text, p_class text default 'builder', p_status integer default 1) returns jsonb language sql stable as $$
    select jsonb_build_array(jsonb_build_object('lease', t.lease(p_name), 'class', p_class, 'status', p_status, 'message', 'broken'))
$$;
-- The reports of load for a derivation with valid outputs, and for one whose .drv is gone.
create function t.loaded_valid(p_lease bigint, p_drv text) returns jsonb language sql stable as $$
    select t.loaded(p_lease, p_drv)
           || jsonb_build_object('info', t.info(), 'outputs', jsonb_build_array(jsonb_build_object(
                  'name', 'out', 'path', t.path(t.named(p_drv)), 'valid', true)))
$$;
create function t.loaded_gone(p_lease bigint, p_drv text) returns jsonb language sql stable as $$
    select jsonb_build_object('lease', p_lease, 'drv', p_drv, 'failed', '{"class": "unsupported", "status": 3, "message": "gone"}'::jsonb)
$$;
create function t.resolution(p_name text, p_resolved text default null) returns jsonb language sql stable as $$
    select jsonb_build_array(jsonb_build_object(
               'lease', t.lease(p_name),
               'samples', (select jsonb_agg(jsonb_build_array(t.drv(x), 'out', t.path(x))) from unnest(i.inputs) x),
               'resolved', jsonb_build_object('drv', t.drv(coalesce(p_resolved, 'r-' || p_name)), 'name', p_name, 'system', 'x86_64-linux', 'kind', 'floating',
                                              'features', '[]'::jsonb, 'prefer_local', false,
                                              'outputs', '[{"name": "out", "path": null, "valid": false}]'::jsonb)))
      from t.input i where i.name = p_name
$$;

create view t.derivations as
    select t.named(d.drv) as name, s.stage, t.named(i.drv) as watches
      from resolver.derivation_state s
      join resolver.derivation d on d.derivation = s.derivation
      left join resolver.watch w on w.derivation = s.derivation
      left join resolver.derivation i on i.derivation = w.input
     order by t.named(d.drv);
create view t.builds as
    select b.job, b.finished, b.buildStatus as status,
           (select string_agg(concat_ws(' ', t.named(s.drvPath), coalesce(s.status::text, 'building'), 'from ' || p.job), ', ' order by s.stepnr)
              from public.BuildSteps s left join public.Builds p on p.id = s.propagatedFrom where s.build = b.id) as steps
      from public.Builds b order by b.id;

-- Everything that a spec may show at the end. Claims that were reported as done are left out.
create view t.now as
    select 'derivation' as what, concat_ws(' ', d.name, d.stage, 'watches ' || d.watches) as now from t.derivations d
    union all
    select 'build', concat_ws(' ', b.job || ':', case when b.finished = 1 then 'finished' else 'unfinished' end, 'status ' || b.status,
                              case when x.isCachedBuild = 1 then 'cached' end, '(' || b.steps || ')')
      from t.builds b join public.Builds x on x.job = b.job
    union all
    select 'finished', n.count::text from public.NrBuilds n
    union all
    select 'claim', concat_ws(' ', t.named(d.drv), 'for', l.verb, 'by', w.name || ':', coalesce(l.outcome, 'open'))
      from (select * from resolver.lease order by lease) l
      join resolver.derivation d on d.derivation = l.derivation
      join resolver.worker w on w.worker = l.worker
     where l.outcome is distinct from 'done'
    union all
    select 'WRONG', v.check_view || ' ' || v.violations from resolver.invariant_violations() v;
