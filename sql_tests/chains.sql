-- Dynamic derivations: derivations that builders write are loaded, built and waited for, at the end of chains of outputs.
\ir include/farm.sql

create function pg_temp.inputs(p_name text) returns text[] language sql stable as $$
    select array_agg(t.named(i.drv) || '^' || array_to_string(dep.outputs, ',') order by i.drv)
      from resolver.dependency dep join resolver.derivation i on i.derivation = dep.input
     where dep.derivation = t.number(p_name)
$$;
create function pg_temp.makes(p_producer text, p_produced text) returns text language sql as $$
    select t.finish(p_producer, jsonb_build_object('out', t.drv(p_produced)))
$$;
create function pg_temp.message(p_name text) returns text language sql stable as $$
    select f.message from resolver.failure f where f.derivation = t.number(p_name) and f.cleared_at is null
$$;
create function pg_temp.register_twice(p_name text) returns setof text language plpgsql as $$
begin
    perform t.claim('load');
    return query select outcome from resolver.register_derivations(jsonb_build_array(t.loaded(p_name), t.loaded(p_name)));
end
$$;

-- One producer, one produced derivation, one wrapper.
select t.derivation('inner', p_outputs => '{out,lib}');
select t.derivation('producer');
select t.derivation('wrapper', '{producer^out^lib}');
select t.want('wrapper', 'wrapper');
select results_eq($$select pg_temp.register_twice('wrapper')$$, $$values ('done'), ('already')$$, 'a report with a chain is sent twice');
select results_eq($$select root, outputs, followed, input from resolver.chain$$,
                  $$values (t.number('producer'), '{out,lib}'::text[], 0, t.number('producer'))$$, 'the chain is stored once');
select is(pg_temp.inputs('wrapper'), '{producer^out}', 'a chain is first a dependency on the first output');
select t.load();
select is(t.watches('wrapper'), 'producer', 'the wrapper waits for the first output');
select is(t.stage('inner'), null, 'the derivation that the output will be is not known');
select pg_temp.makes('producer', 'inner');
select is(t.stage('inner'), 'unloaded', 'when the producer is realised, its output becomes a derivation');
select is(t.stage('wrapper') || ' ' || t.watches('wrapper'), 'waiting inner', 'the wrapper waits for the new derivation');
select is(pg_temp.inputs('wrapper'), '{inner^lib,producer^out}', 'the dependencies follow the chain, and keep its beginning');
select results_eq($$select owner from resolver.derivation_state where derivation = t.number('inner')$$,
                  $$values (t.id('wrapper'))$$, 'the new derivation is wanted for the same build');
select results_eq($$select name from resolver.output where derivation = t.number('inner') and is_wanted$$, array['lib'],
                  'the needed output of the new derivation is wanted');
select results_eq($$select followed, input from resolver.chain$$, $$values (1, t.number('inner'))$$, 'the chain is followed to its end');
savepoint sound;
update resolver.chain set followed = 0, input = root;
delete from resolver.dependency where derivation = t.number('wrapper') and input = t.number('inner');
select results_eq('select * from resolver.check_chain order by input',
                  $$values (t.number('wrapper'), t.number('producer'), '{out,lib}'::text[], t.number('producer'), t.number('inner')),
                           (t.number('wrapper'), t.number('producer'), '{out,lib}'::text[], t.number('inner'), t.number('inner'))$$,
                  'the check shows a chain that was not followed');
rollback to sound;
select t.load();
select t.finish('inner');
select is(t.stage('wrapper'), 'resolvable', 'when the last output is valid, the wrapper can be resolved');
select t.claim('resolve');
select is(t.claimed('wrapper', 'resolve') -> 'inputs',
          jsonb_build_object(t.drv('producer'), jsonb_build_object('out', t.drv('inner')),
                             t.drv('inner'), jsonb_build_object('lib', t.path('inner-lib'))),
          'the claim has the path of every link');
select is(t.resolve('wrapper', 'r-wrapper'), 'done', 'the resolution samples every link');
select is(resolver.unneeded_roots(array[t.drv('inner')]), '{}', 'the .drv that was written keeps its root');
select t.finish('r-wrapper');
select is(t.steps('wrapper'),
          array['1: producer built', '2: inner built', '3: wrapper resolved to r-wrapper', '4: r-wrapper built'],
          'the build has four steps');
select is(t.ended('wrapper'), 'status 0', 'the build has ended');

select is(resolver.explain(t.drv('inner')) #> '{chain,0,producer}', jsonb_build_object('drv', t.drv('producer'), 'output', 'out'),
          'explain names the producer of a .drv');
select is(resolver.trace(t.drv('inner')) -> 'producer', jsonb_build_object('drv', t.drv('producer'), 'output', 'out'),
          'trace names the producer of a .drv');
select is(resolver.trace(t.drv('wrapper')) -> 'producer', 'null', 'a .drv that the evaluator wrote has no producer');
select is(resolver.build_graph(t.id('wrapper')) -> 'chains',
          jsonb_build_array(jsonb_build_object('drv', t.drv('wrapper'), 'input', t.drv('producer'), 'outputs', '{out,lib}'::text[], 'followed', 1)),
          'the graph has the chain');
select set_eq($$select t.named(n ->> 'drv') from jsonb_array_elements(resolver.build_graph(t.id('wrapper')) -> 'nodes') n$$,
              array['wrapper', 'producer', 'inner', 'r-wrapper'], 'the graph has all derivations that the chain leads to');

-- The same once more: everything is known.
select t.want('again', 'wrapper');
select t.load();
select is(t.ended('again'), 'status 0 cached', 'a second build of the wrapper is cached');

-- A wrapper of another evaluation: the derivation that was written is realised, and the wrapper does not wait.
select t.derivation('wrapper-2', '{producer^out^lib,inner^out}');
select t.want('wrapper-2', 'wrapper-2');
select t.load();
select is(t.stage('wrapper-2'), 'resolvable', 'a chain whose links are all valid is followed at once');
select is(pg_temp.inputs('wrapper-2'), '{"inner^lib,out",producer^out}',
          'an input that is named, and that a chain leads to, is one dependency');
select is(t.resolve('wrapper-2', 'r-wrapper', array[t.path('r-wrapper')]), 'done', 'the wrapper resolves to a known derivation');
select is(t.ended('wrapper-2'), 'status 0 cached', 'early cut-off works for dynamic derivations');

-- Two levels, several chains through the same producer, a file and a derivation at once.
select t.derivation('middle');
select t.derivation('top');
select t.derivation('other');
select t.derivation('user', '{top,top^out^out^out,top^out^out^dev,top^out^out,other}');
select t.want('user', 'user');
select t.load();
select set_eq($$select unnest(pg_temp.inputs('user'))$$, array['top^out', 'other^out'], 'several chains through one output are one dependency');
select t.derivation('deep-made', p_outputs => '{out,dev}');
select pg_temp.makes('top', 'middle');
select set_eq($$select unnest(pg_temp.inputs('user'))$$, array['top^out', 'other^out', 'middle^out'],
              'a chain goes on even if its derivation waits for another input');
select t.load();
select pg_temp.makes('middle', 'deep-made');
select set_eq($$select unnest(pg_temp.inputs('user'))$$, array['top^out', 'other^out', 'middle^out', 'deep-made^dev,out'],
              'the chains go on to two outputs of one derivation');
select t.load();
select t.finish('deep-made');
select is(t.watches('user'), 'other', 'then only the other input is missing');
select t.finish('other');
select is(t.resolve('user', 'r-user'), 'done', 'the derivation is resolved');
select t.finish('r-user');
select is(t.ended('user'), 'status 0', 'the build succeeds');

-- The producer of a .drv, and the derivation that it writes, are resolved.
select t.derivation('lib');
select t.derivation('maker', '{lib}');
select t.derivation('made', '{lib}');
select t.derivation('on-made', '{maker^out^out}');
select t.want('on-made', 'on-made');
select t.load();
select t.finish('lib');
select t.resolve('maker', 'r-maker');
select pg_temp.makes('r-maker', 'made');
select is(t.watches('on-made'), 'made', 'outputs of a resolved derivation lead the chain on');
select t.load();
select t.resolve('made', 'r-made');
select t.finish('r-made');
select t.resolve('on-made', 'r-on-made');
select t.finish('r-on-made');
select is(t.steps('on-made'),
          array['1: lib built', '2: maker resolved to r-maker', '3: r-maker built', '4: made resolved to r-made', '5: r-made built',
                '6: on-made resolved to r-on-made', '7: r-on-made built'], 'each step is there once');

-- Failures of the derivation that was written, and of its producer.
select t.derivation('broken');
select t.derivation('writer');
select t.derivation('on-broken', '{writer^out^out}');
select t.want('on-broken', 'on-broken');
select t.load();
select pg_temp.makes('writer', 'broken');
select t.load();
select t.fail('broken');
select is(t.ended('on-broken'), 'status 2', 'if the derivation that was written fails, the build ends with a failed dependency');
select is((select t.named(d.drv) from resolver.goal g join resolver.derivation d on d.derivation = g.cause
            where g.build = t.id('on-broken')), 'broken', 'the goal records the cause');
select is(t.steps('on-broken'), array['1: writer built', '2: broken status 1'], 'the step rows show the cause');
select t.pass('1 hour');
select resolver.restart_build(t.id('on-broken'));
select t.work();
select is(t.ended('on-broken'), 'status 0', 'a restart builds the derivation again');
select t.derivation('bad-writer');
select t.derivation('on-bad-writer', '{bad-writer^out^out}');
select t.want('on-bad-writer', 'on-bad-writer');
select t.load();
select t.fail('bad-writer');
select is(t.ended('on-bad-writer'), 'status 2', 'if the producer fails, the build ends with a failed dependency');
select t.pass('1 hour');
select resolver.restart_build(t.id('on-bad-writer'));
select t.load();
select pg_temp.makes('bad-writer', 'inner');
select t.work();
select is(t.ended('on-bad-writer'), 'status 0', 'a restart builds the producer again');

-- Losses: the chain is followed again.
select t.derivation('first');
select t.derivation('second');
select t.derivation('scribe');
select t.derivation('slow');
select t.derivation('reader', '{scribe^out^out,slow}');
select t.want('reader', 'reader');
select t.load();
select pg_temp.makes('scribe', 'first');
select t.load();
select resolver.release_claims(t.worker_id(), array(select lease from resolver.lease where closed_at is null), 'test');
savepoint loaded;
update resolver.derivation_state set stage = 'unloaded' where derivation = t.number('first');
select t.claim('load');
select resolver.invalidate_paths(array[t.drv('first')]);
select is((select outcome from resolver.register_derivations(jsonb_build_array(t.loaded('unreadable') || jsonb_build_object(
              'lease', t.lease('first', 'load'), 'drv', t.drv('first'))))), 'lease_lost',
              'a claim for a lost .drv is revoked, and its report is no failure');
rollback to loaded;
select t.build('elsewhere-first', 'first');
insert into Jobsets (project, name, nixExprInput, nixExprPath, emailOverride) values ('project', 'another', '', '', '');
update Builds set jobset_id = (select id from Jobsets where name = 'another') where id = t.id('elsewhere-first');
select resolver.sync_builds();
update resolver.derivation_state set (owner, jobset) = (select build, jobset from resolver.goal where build = t.id('reader'))
 where derivation = t.number('first');
select resolver.invalidate_paths(array[t.drv('first')]);
select results_eq($$select owner, jobset from resolver.derivation_state where derivation = t.number('first')$$,
                  $$select t.id('elsewhere-first'), id from Jobsets where name = 'another'$$,
                  'if another build needs the derivation, that build owns it, with its jobset');
rollback to loaded;
select resolver.invalidate_paths(array[t.drv('first')]);
select is_empty('select * from resolver.invariant_violations()', 'no invariant is broken after the loss of a .drv');
select set_eq($$select unnest(pg_temp.inputs('reader'))$$, array['scribe^out', 'slow^out'],
              'the derivation of a lost .drv is no dependency any more');
select is((select owner from resolver.derivation_state where derivation = t.number('first')), null,
          'the derivation of a lost .drv is not wanted');
select is(t.stage('scribe'), 'unloaded', 'the producer of a lost .drv is loaded again');
select t.load();
select pg_temp.makes('scribe', 'second');
select t.load();
select t.finish('second');
select t.finish('slow');
select is(t.stage('reader'), 'resolvable', 'the producer may write another .drv this time');
select t.resolve('reader', 'r-reader');
select resolver.invalidate_paths(array[t.drv('second')]);
select is(t.stage('reader') || ' ' || t.watches('reader'), 'waiting scribe', 'if a link is lost, a resolvable derivation waits again');
select is((select count(*) from resolver.resolution where derivation = t.number('reader') and released_at is null), 0::bigint,
          'the resolution is released');
select t.load();
select pg_temp.makes('scribe', 'second');
select is(t.stage('reader'), 'resolvable', 'if the producer writes the same .drv again, its outputs still count');
select t.resolve('reader', 'r-reader');
select t.finish('r-reader');
select is(t.ended('reader'), 'status 0', 'the build succeeds');

-- A producer may write anything.
select t.derivation('novelist');
select t.derivation('critic', '{novelist^out^out}');
select t.want('critic', 'critic');
select t.load();
select t.finish('novelist');
select is(t.ended('critic'), 'status 1', 'if an output is not a derivation, the derivation that needs the chain fails');
select is(pg_temp.message('critic'),
          format('output ''out'' of %s is %s, which is not named like a derivation', t.full(t.drv('novelist')), t.full(t.path('novelist'))),
          'the message says that the output is not named like a derivation');
select resolver.invalidate_paths(array[t.path('novelist')]);
select t.want('novelist', 'novelist');
select t.load();
select t.finish('novelist');
select is((select count(*) from resolver.failure where derivation = t.number('critic')), 1::bigint,
          'the failure is recorded once, however often the output is written');
select t.derivation('no-lib');
select t.derivation('poet');
select t.derivation('needs-lib', '{poet^out^lib}');
select t.want('needs-lib', 'needs-lib');
select t.load();
select pg_temp.makes('poet', 'no-lib');
select t.load();
select is(t.ended('needs-lib'), 'status 1', 'if the derivation that was written has no such output, the build fails');
select is(pg_temp.message('needs-lib'), format('it needs output ''lib'' of %s, which has no output of that name', t.full(t.drv('no-lib'))),
          'the message names the missing output');
select t.derivation('poet-2');
select t.derivation('needs-lib-2', '{poet-2^out^lib}');
select t.want('needs-lib-2', 'needs-lib-2');
select t.load();
select pg_temp.makes('poet-2', 'no-lib');
select is(t.ended('needs-lib-2'), 'status 1', 'if that derivation is known already, the build fails at once');
select t.derivation('liar');
select t.derivation('on-nothing', '{liar^out^out}');
select t.want('on-nothing', 'on-nothing');
select t.load();
select pg_temp.makes('liar', 'unreadable');
select t.load();
select is(t.ended('on-nothing') || ', ' || pg_temp.message('unreadable'), 'status 2, the .drv is not in the store',
          'if the .drv that was written cannot be read, the build fails');

-- Circles.
select t.derivation('mirror');
select t.derivation('narcissus', '{mirror^out^out}');
select t.derivation('echo', '{mirror^out^out}');
select t.want('echo', 'echo');
select t.load();
select pg_temp.makes('mirror', 'narcissus');
select t.load();
select is(t.ended('echo'), 'status 2', 'a derivation that needs itself fails');
select is(pg_temp.message('narcissus'),
          format('output ''out'' of %s is %s, the very derivation that needs it', t.full(t.drv('mirror')), t.full(t.drv('narcissus'))),
          'the message says that it needs itself');
select t.derivation('snake');
select t.derivation('tail', '{snake^out^out}');
select t.derivation('body', '{tail}');
select t.derivation('head', '{body}');
select t.want('head', 'head');
select t.load();
select pg_temp.makes('snake', 'head');
select t.load();
select is(t.stage('tail') || ' ' || t.watches('tail') || ' ' || t.watches('head') || ' ' || t.watches('body'), 'waiting head body tail',
          'the derivations of a larger circle wait for one another');
select is(resolver.has_work(t.worker_id()), true, 'a circle is work for the worker');
delete from resolver.propagation; -- the circle is found when no other work is left
select resolver.advance();
select is(t.ended('head'), 'status 2', 'the next tick ends the build');
select is(pg_temp.message('tail'), 'it needs itself', 'the dynamic derivation of the circle fails');
select is(resolver.find_cycle(), null, 'no circle is left');

-- Pruning.
select t.pass('100 days');
select resolver.invalidate_paths(array(select path from resolver.output where valid_since is not null and path <> t.path('r-wrapper')));
select resolver.prune('90 days');
select is(t.stage('producer') is null and t.stage('wrapper') = 'realised', true, 'a derivation that stays may have needed a pruned one');
select is_empty('select * from resolver.invariant_violations()', 'a derivation that stays has no chain through a pruned one');
select resolver.invalidate_paths(array(select path from resolver.output where valid_since is not null));
select resolver.prune('90 days');
select is((select count(*) from resolver.chain), 0::bigint, 'chains are pruned with their derivations');
select t.want('anew', 'wrapper');
select t.load();
select pg_temp.makes('producer', 'inner');
select t.work();
select is(t.ended('anew'), 'status 0', 'a pruned chain is loaded again');

select * from t.done();
rollback;
