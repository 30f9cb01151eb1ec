-- Lookups of Hydra's other programs: the terminal of a resolved step, and the paths that get roots.
\ir include/farm.sql

-- The step page: within the build, a row of the resolved derivation that is not a resolution itself.
create function pg_temp.terminal(p_build integer, p_stepnr integer) returns text language sql as $$
    select t.stepnr || ': ' || coalesce('status ' || t.status, 'busy ' || t.busy)
      from BuildSteps s
      join BuildSteps t on t.build = s.build and t.status is distinct from 13
                       and t.drvPath = regexp_replace(s.drvPath, '[^/]*$', '') || s.resolvedDrvPath
     where s.build = p_build and s.stepnr = p_stepnr and s.status = 13
$$;
create function pg_temp.terminals(p_job text) returns text[] language sql as $$
    select array_agg(coalesce(pg_temp.terminal(s.build, s.stepnr), 'not yet scheduled') order by s.stepnr)
      from BuildSteps s where s.build = t.id(p_job) and s.status = 13
$$;

-- hydra-update-gc-roots: outputs of successful builds, derivations of unfinished builds.
create function pg_temp.roots(p_job text) returns text[] language sql as $$
    select array_agg(path order by path)
      from (select o.path from Builds b join BuildOutputs o on o.build = b.id
             where b.id = t.id(p_job) and b.finished = 1 and b.buildStatus in (0, 6)
             union all
            select b.drvPath from Builds b where b.id = t.id(p_job) and b.finished = 0) r
$$;

-- Built in this build.
select t.derivation('leaf');
select t.derivation('tool', '{leaf}', 'floating', '{out,dev}');
select t.want('tool', 'tool');
select t.load();
select t.finish('leaf');
select t.resolve('tool', 'r-tool');
select is(pg_temp.terminals('tool'), '{not yet scheduled}', 'a resolved step without an attempt is not yet scheduled');
select t.claim('build');
select is(pg_temp.terminals('tool'), '{3: busy 30}', 'while it is built, the page leads to the busy row');
select is(pg_temp.roots('tool'), array[t.full(t.drv('tool'))], 'the derivation of an unfinished build is rooted');
select t.finish('r-tool');
select is(pg_temp.terminals('tool'), '{3: status 0}', 'after the build, the page leads to the row of the attempt');
select is(pg_temp.roots('tool'), array(select t.full(t.output_path('r-tool', o)) from unnest('{out,dev}'::text[]) o order by 1),
          'all outputs of a finished build are rooted');

-- Cut off: another derivation resolves to the same one.
select t.derivation('twin', '{leaf}', 'floating', '{out,dev}');
select t.want('twin', 'twin');
select t.load();
select t.resolve('twin', 'r-tool', array[t.path('r-tool'), t.path('r-tool-dev')]);
select is(pg_temp.terminals('twin'), '{2: status 0}', 'a build that was cut off by another one has its own terminal');
select bag_eq($$select name, path from BuildStepOutputs where build = t.id('twin') and stepnr = 2$$,
              $$select o, t.full(t.output_path('r-tool', o)) from unnest('{out,dev}'::text[]) o$$, 'the terminal has all outputs');
select is(pg_temp.roots('twin'), pg_temp.roots('tool'), 'the outputs of the build that was cut off are rooted');

-- The same root again needs no work.
select t.want('again', 'tool');
select t.load();
select is(t.ended('again'), 'status 0 cached', 'a second build of the same derivation is cached');
select is(pg_temp.terminals('again'), null, 'the cached build has no resolution');
select is(pg_temp.roots('again'), pg_temp.roots('tool'), 'the cached build has the same rooted paths');

-- An attempt that two builds share.
select t.derivation('first', '{leaf}');
select t.derivation('second', '{leaf}');
select t.want(n, n) from unnest('{first,second}'::text[]) n;
select t.load();
select t.resolve('first', 'r-shared');
select t.resolve('second', 'r-shared');
select t.claim('build');
select t.finish('r-shared');
select is(pg_temp.terminals('first') || pg_temp.terminals('second'), '{2: status 0,2: status 0}', 'each of two builds has the terminal');

-- The build of a resolution is deleted before an attempt; another build needs the derivation as its root, or as an input.
select t.derivation(n, '{leaf}') from unnest('{mine,input,shared,kept}'::text[]) n;
select t.derivation('on-' || n, array[n]) from unnest('{input,shared}'::text[]) n;
select t.want('gone-' || n, n) from unnest('{mine,input,shared}'::text[]) n;
select t.want(n, n) from unnest('{kept,mine,on-input}'::text[]) n;
select t.want('on-shared', 'on-shared', 1);
select t.load();
select t.resolve(n, 'r-' || n) from unnest('{mine,input,kept}'::text[]) n;
select t.resolve('shared', 'r-mine');
delete from Builds where id in (select t.id('gone-' || n) from unnest('{mine,input,shared}'::text[]) n);
select resolver.sync_builds();
select t.claim('build');
select is(t.steps('mine') || t.steps('on-input') || t.steps('kept'),
          '{"1: mine resolved to r-mine","2: r-mine building","1: input resolved to r-input","2: r-input building",
            "1: kept resolved to r-kept","2: r-kept building"}',
          'the build that has the attempt also gets the resolution');
select results_eq($$select r.build, r.stepnr from resolver.resolution r where r.derivation = t.number('mine')$$,
                  $$select t.id('mine'), 1$$, 'the resolution belongs to that build');
select resolver.release_claims(t.worker_id(), array[t.lease('r-mine', 'build')], 'again');
select t.claim('build');
select t.finish('r-' || n) from unnest('{mine,input,kept}'::text[]) n;
select t.work();
select is(pg_temp.terminals('mine') || pg_temp.terminals('kept') || pg_temp.terminals('on-input'),
          '{2: status 0,2: status 0,2: status 0,4: status 0}', 'each build has the resolution once, with its terminal');

-- The build of the resolution still exists, but the attempt belongs to another build.
select t.derivation('library', '{leaf}');
select t.derivation('application', '{library}');
select t.want('application', 'application');
select t.load();
select t.resolve('library', 'r-library');
select t.want('library', 'library');
select t.load();
select t.claim('build');
select is(t.steps('library') || t.steps('application'), '{"1: r-library building","1: library resolved to r-library"}',
          'the build of the resolution keeps it');
select t.finish('r-library');
select is(pg_temp.terminals('application'), '{2: status 0}', 'the build of the resolution has a terminal');
select t.work();

-- Failures: of the root's resolved derivation, shared; of an input's resolved derivation; known before.
select t.derivation('bad', '{leaf}');
select t.derivation('worse', '{leaf}');
select t.derivation('user', '{bad}');
select t.want(n, n) from unnest('{bad,worse,user}'::text[]) n;
select t.load();
select t.resolve('bad', 'r-bad');
select t.resolve('worse', 'r-bad');
select t.claim('build');
select t.fail('r-bad');
select resolver.advance();
select is(pg_temp.terminals('bad') || pg_temp.terminals('worse'), '{2: status 1,2: status 1}',
          'both builds that share a failure have a terminal');
select is(array[t.ended('bad'), t.ended('worse'), t.ended('user')], '{status 1,status 1,status 2}',
          'builds fail by their own derivation, or by a dependency');
select is(t.steps('user'), '{1: r-bad status 1 from bad}', 'a build that only needs the derivation has no resolution');
select is(pg_temp.roots(n), null, 'nothing is rooted for ' || n) from unnest('{bad,worse,user}'::text[]) n;
select t.pass('1 minute');
select t.want('late', 'bad');
select t.load();
select is(t.ended('late'), 'status 1 cached', 'a later build is a cached failure');
select is(pg_temp.terminals('late'), '{2: status 8}', 'the cached failure has its terminal');

-- Succeeded with failure, found in the store, cancelled, restarted.
select t.derivation('odd');
select t.want('odd', 'odd');
select t.load();
select t.finish('odd', null, t.info() || '{"failed": true}');
select is(t.ended('odd'), 'status 6', 'the build succeeded with failure');
select is(pg_temp.roots('odd'), array[t.full(t.path('odd'))], 'the outputs of a build that succeeded with failure are rooted');
select t.derivation('found', '{}', 'input-addressed');
select t.store_has(t.path('found'));
select t.want('found', 'found');
select t.load();
select is(pg_temp.roots('found'), array[t.full(t.path('found'))], 'outputs that were found in the store are rooted');
select t.derivation('dropped');
select t.want('dropped', 'dropped');
select t.load();
select resolver.cancel_build(t.id('dropped'));
select is(pg_temp.roots('dropped'), null, 'a cancelled build has no roots');
select resolver.restart_build(t.id('dropped'));
select is(pg_temp.roots('dropped'), array[t.full(t.drv('dropped'))], 'a restarted build has its derivation rooted');
select t.work();

select is_empty($$select b.job, o.name from Builds b join BuildOutputs o on o.build = b.id
                   where b.finished = 1 and b.buildStatus in (0, 6) and o.path is null$$, 'every output of a successful build has a path');
select is_empty($$select s.build, s.stepnr from BuildSteps s
                   where s.status = 13 and pg_temp.terminal(s.build, s.stepnr) is null$$, 'every resolved step has a terminal');

select * from t.done();
rollback;
