-- claim_derivations(worker, verb, limit): which derivations a worker gets, and in which order.
\ir include/farm.sql

select volatility_is('resolver', 'claim_derivations', array['integer', 'text', 'integer'], 'volatile', 'the function writes');
select throws_ok($$select * from resolver.claim_derivations(0, 'load', 1)$$, 'NX016', 'the worker is not registered',
                 'a worker cannot claim without being registered');
select throws_ok($$select * from resolver.claim_derivations(t.worker_id(), 'dance', 1)$$, 'NX019', 'there is no such verb',
                 'an unknown verb is refused');

-- load.
select t.derivation('a');
select t.derivation('b', '{a}');
select is(t.claim('load'), '{}', 'if nothing is wanted, load has no work');
select t.want('b', 'b');
select t.keep();
select is(t.claim('load', 0), '{}', 'a limit of 0 returns no claims');
select is(t.changed(), '{}', 'a limit of 0 claims nothing');
select is(t.claim('load'), '{b}', 'the root is loaded first');
select results_eq(
    $$select claim - 'lease' - 'drv' from t.claim where verb = 'load'$$,
    $$values (jsonb_build_object('build', t.id('b'), 'stepnr', null, 'root', true, 'inputs', null, 'known', '{}'::jsonb,
                                 'max_silent', null, 'timeout', null))$$, 'the claim for load');
select is(t.stage('b'), 'unloaded', 'a claim for load moves nothing');
select is(t.claim('load'), '{}', 'no other worker gets a claimed derivation');
select results_eq($$select verb, worker, closed_at, deadline from resolver.lease$$,
                  $$select 'load', t.worker_id(), null::timestamptz, '2026-01-01 12:10:00+00'::timestamptz$$,
                  'the claim is a lease with a deadline: a hung load has no other limit');
select resolver.register_derivations(jsonb_build_array(t.loaded('b')));
select is(t.claim('load'), '{a}', 'then the input of the root is loaded');
select is(t.claimed('a', 'load') ->> 'root', 'false', 'the input is not a root');
select resolver.register_derivations(jsonb_build_array(t.loaded('a')));

-- build.
select is(t.claim('resolve'), '{}', 'no derivation can be resolved yet');
select t.keep();
select is(t.claim('build', 0), '{}', 'a limit of 0 returns no claims');
select is(t.changed(), '{}', 'a limit of 0 starts nothing');
select is(t.claim('build'), '{a}', 'a derivation without inputs can be built');
select is(t.stage('a'), 'building', 'buildable -> building');
select results_eq(
    $$select claim - 'lease' - 'drv' from t.claim where verb = 'build'$$,
    $$values (jsonb_build_object('build', t.id('b'), 'stepnr', 1, 'root', false, 'inputs', '[]'::jsonb, 'known', '{}'::jsonb,
                                 'max_silent', 3600, 'timeout', 36000))$$, 'the claim for build');
select results_eq(
    $$select type, drvPath, busy, status, startTime, stopTime, system from BuildSteps where build = t.id('b')$$,
    $$select 0, t.full(t.drv('a')), 30, null::integer, resolver.hydra_time('2026-01-01 12:00:00+00'), null::integer, 'x86_64-linux'$$,
    'the claim writes a busy row with a start time and no status');
select results_eq($$select name, path from BuildStepOutputs where build = t.id('b')$$, $$values ('out', null::text)$$,
                  'the claim writes an output without a path');
select is(t.claim('build'), '{}', 'no other worker gets a derivation that is being built');
select t.finish('a');

-- resolve.
select is(t.claim('resolve'), '{b}', 'when its input is built, the dependent can be resolved');
select is(t.claimed('b', 'resolve') - 'lease' - 'drv',
          jsonb_build_object('build', t.id('b'), 'stepnr', null, 'root', true, 'known', '{}'::jsonb, 'max_silent', null, 'timeout', null,
                             'inputs', jsonb_build_object(t.drv('a'), jsonb_build_object('out', t.path('a')))),
          'the claim for resolve has the paths of the inputs');
select is(t.claim('resolve'), '{}', 'no other worker gets a derivation that is being resolved');
select t.resolve('b', 'r-b');
select t.claim('build');
select is(t.claimed('r-b', 'build') ->> 'root', 'true', 'a derivation that a root follows counts as a root: its products are wanted');
select t.finish('r-b');

-- Input paths and known outputs of a claim for build.
select t.derivation('ia', '{a,b}', 'input-addressed', '{out,lib}');
select t.want('ia', 'ia');
select t.load();
select t.claim('build');
select bag_eq($$select jsonb_array_elements_text(t.claimed('ia', 'build') -> 'inputs')$$, $$values (t.path('a')), (t.path('r-b'))$$,
              'a claim for build has every input path');
select is(t.claimed('ia', 'build') -> 'known', jsonb_build_object('out', t.path('ia'), 'lib', t.path('ia-lib')),
          'a claim for build has the known paths of the outputs');
select results_eq($$select name, path from BuildStepOutputs where build = t.id('ia') and stepnr = (t.claimed('ia', 'build') ->> 'stepnr')::integer order by name$$,
                  $$values ('lib', t.full(t.path('ia-lib'))), ('out', t.full(t.path('ia')))$$,
                  'the step row has the known paths of the outputs');
select t.finish('ia');

-- Time limits.
select t.derivation('limits');
select t.build('l1', 'limits');
select t.build('l2', 'limits');
update Builds set maxsilent = 100, timeout = 50000 where id = t.id('l1');
update Builds set maxsilent = 200, timeout = 40000 where id = t.id('l2');
select resolver.sync_builds();
select t.load();
select t.claim('build');
select is(array[t.claimed('limits', 'build') ->> 'max_silent', t.claimed('limits', 'build') ->> 'timeout'], '{200,50000}',
          'an attempt has the largest limits of the builds whose root it is');
select resolver.release_claims(t.worker_id(), array[t.lease('limits', 'build')], 'test');
update Builds set maxsilent = 0 where id = t.id('l2');
update Builds set timeout = 0 where id = t.id('l1');
select t.claim('build');
select is(array[t.claimed('limits', 'build') ->> 'max_silent', t.claimed('limits', 'build') ->> 'timeout'], '{0,0}',
          '0 means no limit, and is larger than any limit');
select t.finish('limits');

-- Systems and features.
select t.derivation('mips', p_system => 'mips-linux');
select t.derivation('big', p_features => '{kvm,big-parallel}');
select t.derivation('fetch', p_system => 'builtin');
select t.want('mips', 'mips');
select t.want('big', 'big');
select t.want('fetch', 'fetch');
select t.load();
select is(t.claim('build'), '{fetch}', 'a worker gets derivations that it can build; builtin builders need no system');
select is(resolver.blocking_derivations(t.number('mips')) ->> 'reason', 'no worker builds for mips-linux',
          'the reason names a system that no worker has');
select is(resolver.blocking_derivations(t.number('big')) ->> 'reason', 'no worker for x86_64-linux has the system features big-parallel, kvm',
          'the reason names features that no worker has');
select t.worker('strong', '{x86_64-linux,mips-linux}', '{kvm}');
select is(t.claim('build', 100, 'strong'), '{mips}', 'another worker builds for the other system');
select resolver.deregister_worker(t.worker_id('strong'));
select t.worker('stronger', '{x86_64-linux}', '{big-parallel,kvm,benchmark}');
select is(t.claim('build', 100, 'stronger'), '{big}', 'a worker with all features gets the derivation that needs them');
select t.finish('fetch');
select t.finish('big');
select resolver.cancel_build(t.id('mips'));

-- Limits by feature.
select t.derivation('par' || n, p_features => '{big-parallel}') from generate_series(1, 4) n;
select t.derivation('both', p_features => '{big-parallel,kvm}');
select t.derivation('plain' || n) from generate_series(1, 3) n;
select t.want('par' || n, 'par' || n, 10 - n) from generate_series(1, 4) n;
select t.want('both', 'both', 9);
select t.want('plain' || n, 'plain' || n, 20 * (n % 2)) from generate_series(1, 3) n;
select t.load();
select resolver.register_worker('limited', '{build}', '{x86_64-linux}', '{big-parallel,kvm}', '/nix/store', 'one',
                                p_feature_limits => '{"big-parallel": 2, "kvm": 1}');
select is(t.claim('build', 5, 'limited'), '{plain1,plain3,par1,both,plain2}',
          'a worker gets no more derivations with a feature than its limit, and others instead');
select is(t.claim('build', 5, 'limited'), '{}', 'open claims count against the limit');
select t.finish('plain1');
select is(t.claim('build', 5, 'limited'), '{}', 'if another step ends, the limit is still reached');
select t.finish('both');
select is(t.claim('build', 5, 'limited'), '{par2}', 'if a step with the feature ends, the worker gets another one');
select resolver.register_worker('none', '{build}', '{x86_64-linux}', '{big-parallel}', '/nix/store', 'one', p_feature_limits => '{"big-parallel": 0}');
select is(t.claim('build', 5, 'none'), '{}', 'with a limit of 0 the worker gets no derivation with the feature');
select t.finish('par1');
select t.finish('par2');
select resolver.deregister_worker(t.worker_id('limited'));
select t.claim('build', 5, 'stronger');
select t.finish(n) from unnest('{par3,par4,plain2,plain3}'::text[]) n;
select resolver.deregister_worker(t.worker_id('none'));

-- Builders, and workers that take only some derivations.
select t.derivation('m68k', p_system => 'm68k-linux');
select t.derivation('m68k-kvm', p_system => 'm68k-linux', p_features => '{kvm}');
select t.derivation('arm-kvm', p_system => 'arm-linux', p_features => '{kvm}');
select t.derivation('arm-big', p_system => 'arm-linux', p_features => '{big}');
select t.want(n, n) from unnest('{m68k,m68k-kvm,arm-kvm,arm-big}'::text[]) n;
select t.load();
select resolver.register_worker('remote', '{build}', '{x86_64-linux}', '{}', '/nix/store', 'one', p_builders => '[
    {"machine": "ssh-ng://m68k", "systems": ["m68k-linux"], "features": ["big", "ca-derivations"]},
    {"machine": "ssh-ng://old", "systems": ["arm-linux"], "features": ["big", "kvm"]},
    {"machine": "ssh-ng://arm", "systems": ["arm-linux"], "features": ["big", "kvm", "ca-derivations"], "mandatory": ["big"]}]');
select is(t.claim('build', 5, 'remote'), '{m68k,arm-big}',
          'each builder has its own systems and features, mandatory features exclude others, and floating derivations need ca-derivations');
select resolver.register_worker('at home', '{build}', '{x86_64-linux}', '{}', '/nix/store', 'one', p_only_kind => 'local', p_builders => '[
    {"machine": "ssh-ng://m68k", "systems": ["m68k-linux", "arm-linux"], "features": ["kvm", "ca-derivations"]}]');
select is(t.claim('build', 5, 'at home'), '{}', 'a worker for local steps does not take derivations that only a builder can build');
select t.derivation('tiny');
select t.derivation('large');
select t.want('tiny', 'tiny');
select t.want('large', 'large');
select t.claim('load');
select resolver.register_derivations(jsonb_build_array(t.loaded('tiny') || '{"prefer_local": true}', t.loaded('large')));
select resolver.register_worker('small', '{build}', '{x86_64-linux}', '{}', '/nix/store', 'one', p_only_kind => 'prefer-local');
select is(t.claim('build', 5, 'small'), '{tiny}', 'a worker for preferLocalBuild takes no other derivations');
select is(t.claim('build', 5), '{large}', 'other workers take all derivations');
select t.finish(n) from unnest('{m68k,arm-big,tiny,large}'::text[]) n;
select resolver.cancel_build(t.id(n)) from unnest('{m68k-kvm,arm-kvm}'::text[]) n;
select resolver.deregister_worker(t.worker_id(n)) from unnest('{remote,at home,small}'::text[]) n;

-- Order: see queue.sql for the rest.
select t.derivation('o' || n) from generate_series(1, 5) n;
select t.want('o1', 'o1', 10);
select t.want('o2', 'o2', 30);
select t.want('o3', 'o3', 20);
select t.build('o4', 'o4', 0);
update Builds set globalPriority = 7 where id = t.id('o4');
select t.want('o5', 'o5', 30);
select is(t.claim('load', 2), '{o4,o2}', 'load goes by global priority, then priority, then age');
select resolver.release_claims(t.worker_id(), array_agg(lease), 'test') from t.claim where verb = 'load' and name in ('o4', 'o2');
select t.load();
select is(t.claim('build', 2), '{o4,o2}', 'build goes by the same order');
select is(t.claim('build', 2), '{o5,o3}', 'the next claims follow the same order');
select is(t.claim('build', 2), '{o1}', 'the last derivation is claimed last');
select t.finish('o' || n) from generate_series(1, 5) n;
select t.derivation('p1');
select t.derivation('p2');
select t.want('p1', 'p1');
select t.want('p2', 'p2');
select t.load();
update Builds set globalPriority = 99 where id = t.id('p2');
select resolver.sync_builds();
select is(t.claim('build'), '{p2,p1}', 'a bumped build comes first');
select t.finish('p1');
select t.finish('p2');

-- The account of a step.
select t.derivation('lib');
select t.derivation('tool', '{lib}');
select t.want('tool', 'tool', 5);
select t.load();
select t.want('lib-1', 'lib');
select t.want('lib-2', 'lib', 100);
select t.load();
select t.claim('build');
select is(t.steps('lib-1'), '{1: lib building}', 'the step belongs to the unfinished build with the lowest id whose root it is');
select t.finish('lib');
select t.work();
select t.derivation('base');
select t.derivation('one', '{base}');
select t.want('one', 'one');
select t.load();
select t.claim('build');
select is(t.steps('one'), '{1: base building}', 'if it is no root, the step belongs to a build that needs it');
select t.finish('base');
select t.work();

-- Owners that ended.
select t.derivation('need');
select t.derivation('n1', '{need}');
select t.derivation('n2', '{need}');
select t.want('n1', 'n1', 9);
select t.want('n2', 'n2');
select t.load();
select resolver.cancel_build(t.id('n1'));
select is(t.claim('build'), '{need}', 'if its build is cancelled and another build needs the derivation, it is built');
select is(t.steps('n2'), '{1: need building}', 'the step belongs to the other build');
select t.finish('need');
select resolver.cancel_build(t.id('n2'));
select is(t.claim('resolve'), '{}', 'a derivation that no build needs is not claimed');
select is((select count(owner) from resolver.derivation_state where derivation in (t.number('n1'), t.number('n2'))), 0::bigint,
          'a derivation that no build needs leaves the queue');
select t.want('n2-again', 'n2');
select t.load();
select is(t.claim('resolve'), '{n2}', 'if a build wants the derivation again, it is claimed');
select t.resolve('n2', 'r-n2');
select t.work();

-- The same, behind a long queue for a system that no worker has.
select t.derivation('m' || n, p_system => 'mips-linux') from generate_series(1, 120) n;
select t.derivation('behind');
select t.build('m' || n, 'm' || n, 50) from generate_series(1, 120) n;
select t.want('behind', 'behind');
select t.load();
select resolver.cancel_build(t.id('behind'));
select is(t.claim('build'), '{}', 'an owner that has ended is found at any place in the queue');
select is(t.steps('behind'), '{}', 'a build that has ended gets no more steps');
select resolver.cancel_build(t.id('m' || n)) from generate_series(1, 120) n;

-- The step row of an aborted attempt.
select t.derivation('again');
select t.want('again', 'again');
select t.load();
select t.claim('build');
select resolver.release_claims(t.worker_id(), array[t.lease('again', 'build')], 'test');
select is(t.steps('again'), '{1: again status 3}', 'if a claim is given back, the step row is aborted');
select t.pass('5 minutes');
select t.claim('build');
select is(t.steps('again'), '{1: again building}', 'the next claim for the same build turns the row busy again');
select results_eq(
    $$select status, stopTime, errorMsg, startTime from BuildSteps where build = t.id('again')$$,
    $$select null::integer, null::integer, null::text, resolver.hydra_time(resolver.clock())$$, 'the row has the values of a new step');
select t.finish('again');

-- A build that was deleted without a notification.
select t.derivation('d1');
select t.derivation('d2');
select t.want('d1', 'd1');
select t.want('d2', 'd2');
select t.load();
delete from Builds where id = t.id('d1');
select is(t.claim('build'), '{d2}', 'a derivation whose build was just deleted is skipped');
select is(t.stage('d1'), 'buildable', 'the derivation of a deleted build stays buildable');
select t.finish('d2');
select resolver.sync_builds();
select is(t.claim('build'), '{}', 'after the sync the derivation is not claimed');

-- The plan (for build see queue.sql): a claim reads the head of an index, not the table, whether much or little is ready.
create function pg_temp.fill(p_stage text, p_number integer) returns void language sql as $$
    with d as (
        insert into resolver.derivation (drv, name, system, kind)
        select md5(p_stage || n) || '-' || p_stage || '.drv', 'x', 'x86_64-linux', 'floating' from generate_series(1, p_number) n
        returning derivation
    )
    insert into resolver.derivation_state (derivation, stage, owner, jobset) select derivation, p_stage, -1, 1 from d;
$$;
create function pg_temp.plan(p_query text) returns text language plpgsql as $$
declare
    v_line text;
    v_plan text := '';
begin
    for v_line in execute 'explain ' || p_query loop
        v_plan := v_plan || v_line;
    end loop;
    return v_plan;
end
$$;
create function pg_temp.graph_plan(p_stage text) returns text language sql as $$
    select pg_temp.plan(format(
        'select s.derivation from resolver.derivation_state s where s.stage = %L and s.lease is null and s.owner > 0
          order by s.global_priority desc, s.priority desc, s.derivation limit 100 for update skip locked', p_stage))
$$;
select pg_temp.fill('realised', 5000);
analyze resolver.derivation_state;
analyze resolver.derivation;
select matches(pg_temp.graph_plan('unloaded'), 'state_to_load', 'with little to load, the claim uses the index');
select matches(pg_temp.graph_plan('resolvable'), 'state_to_resolve', 'with little to resolve, the claim uses the index');
select pg_temp.fill(stage, 5000) from unnest('{unloaded,resolvable}'::text[]) stage;
analyze resolver.derivation_state;
analyze resolver.derivation;
select matches(pg_temp.graph_plan('unloaded'), 'Index Scan using state_to_load', 'with much to load, the claim uses the index');
select matches(pg_temp.graph_plan('resolvable'), 'Index Scan using state_to_resolve', 'with much to resolve, the claim uses the index');
select doesnt_match(pg_temp.graph_plan('unloaded') || pg_temp.graph_plan('resolvable'), 'Sort|Seq Scan',
                    'the plan has no sort, and reads no table from end to end');
delete from resolver.derivation_state where owner = -1;

select * from t.done();
rollback;
