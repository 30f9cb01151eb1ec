-- Time limits of an attempt: the largest of the builds that need it, and at least Hydra's defaults if it is not a root.
\ir include/farm.sql

create function pg_temp.limits(p_name text) returns text[] language sql as $$
    select array[t.claimed(p_name, 'build') ->> 'max_silent', t.claimed(p_name, 'build') ->> 'timeout']
$$;
create function pg_temp.build(p_name text, p_max_silent integer, p_timeout integer, p_priority integer default 0)
    returns void language plpgsql as $$
begin
    perform t.build(p_name, p_name, p_priority);
    update Builds set maxsilent = p_max_silent, timeout = p_timeout where id = t.id(p_name);
end
$$;
create function pg_temp.finish() returns void language sql as $$
    select t.finish(t.named(d.drv)) from resolver.lease l join resolver.derivation d using (derivation) where l.closed_at is null order by l.lease;
    select t.work();
$$;

-- Dependencies at any depth, of any build.
select t.derivation('low');
select t.derivation('low-too');
select t.derivation('middle', '{low}', 'input-addressed');
select t.derivation('urgent', '{middle}', 'input-addressed');
select t.derivation('long', '{middle,low-too}', 'input-addressed');
select t.derivation('quick', '{low-too}', 'input-addressed');
select pg_temp.build('urgent', 3600, 36000, 10);
select pg_temp.build('quick', 10, 20);
select resolver.sync_builds();
select t.load();
select pg_temp.build('long', 10, 100000);
select resolver.sync_builds();
select t.load();
select t.claim('build');
select is(pg_temp.limits('low'), '{3600,100000}', 'an input has the largest limits of all builds that need it, and at least the defaults');
select is(pg_temp.limits('low-too'), '{3600,100000}', 'an input that a shorter build needs too has the largest limits');
select t.finish('low');
select t.finish('low-too');
select t.claim('build');
select is(pg_temp.limits('middle'), '{3600,100000}', 'every derivation on the way has these limits');
select is(pg_temp.limits('quick'), '{10,20}', 'a root that no other build needs has the limits of its build, however short');
select t.finish('middle');
select t.claim('build');
select is(pg_temp.limits('urgent'), '{3600,36000}', 'a derivation that the long build does not need keeps its limits');
select is(pg_temp.limits('long'), '{10,100000}', 'the root of the long build has the limits of its build');
select pg_temp.finish();

-- A root that another build needs.
select t.derivation('root');
select t.derivation('on-root', '{root}', 'input-addressed');
select pg_temp.build('root', 10, 20);
select pg_temp.build('on-root', 7200, 0);
select resolver.sync_builds();
select t.load();
select t.claim('build');
select is(pg_temp.limits('root'), '{7200,0}', 'a root also has the limits of builds that depend on it; 0 means no limit');
select pg_temp.finish();
select t.derivation('root2');
select t.derivation('on-root2', '{root2}', 'input-addressed');
select pg_temp.build('root2', 10, 20);
select pg_temp.build('on-root2', 3600, 36000);
select resolver.sync_builds();
select t.load();
select t.claim('build');
select is(pg_temp.limits('root2'), '{3600,36000}', 'a root has the default limits of a build that depends on it');
select pg_temp.finish();

-- Resolutions.
select t.derivation('in');
select t.derivation('d1', '{in}');
select t.derivation('d2', '{in}');
select t.derivation('on-d1', '{d1}');
select t.derivation('on-d2', '{d2}');
select pg_temp.build('on-d1', 3600, 36000);
select pg_temp.build('on-d2', 3600, 50000);
select resolver.sync_builds();
select t.load();
select t.finish('in');
select t.claim('resolve');
select t.resolve('d1', 'r');
select t.resolve('d2', 'r');
select t.claim('build');
select is(pg_temp.limits('r'), '{3600,50000}', 'a resolved derivation has the largest limits of its followers');
select pg_temp.finish();

-- Later inputs: load finds inputs of a derivation with long limits.
select t.derivation('deep1');
select t.derivation('deep2', '{deep1}', 'input-addressed');
select t.derivation('deep3', '{deep2}', 'input-addressed');
select pg_temp.build('deep3', 4000, 1);
select resolver.sync_builds();
select t.load();
select t.claim('build');
select is(pg_temp.limits('deep1'), '{4000,36000}', 'inputs that become known later have these limits');
select pg_temp.finish();
select is((select array_agg(t.ended(j)) from unnest('{long,quick,urgent,on-root,on-d2,deep3}'::text[]) j),
          '{"status 0","status 0","status 0","status 0","status 0","status 0"}', 'all builds succeed');

-- Open builds whose limits were not propagated: builds of an older release, or builds that were changed.
select t.derivation('old-low');
select t.derivation('old-middle', '{old-low}', 'input-addressed');
select t.derivation('old', '{old-middle}', 'input-addressed');
select t.derivation('short', '{old-middle}', 'input-addressed');
select pg_temp.build('old', 7200, 0);
select pg_temp.build('short', 10, 20);
select resolver.sync_builds();
select t.load();
update resolver.derivation_state set max_silent = null, timeout = null;
select t.keep();
select resolver.sync_builds();
select results_eq(
    $$select t.named(d.drv), s.max_silent, s.timeout from resolver.derivation_state s join resolver.derivation d using (derivation)
       where s.owner is not null and s.stage in ('waiting', 'buildable') order by t.named(d.drv)$$,
    $$values ('old', 7200, 2147483647), ('old-low', 7200, 2147483647), ('old-middle', 7200, 2147483647), ('short', null, null)$$,
    'the sync propagates the limits');
select is(t.changed(), '{resolver.build_scan,resolver.derivation_state}', 'the sync changes nothing else');
select t.keep();
select resolver.sync_builds();
select is(t.changed(), '{resolver.build_scan}', 'a second sync changes nothing');
update Builds set timeout = 40000, maxsilent = 10000 where id = t.id('short');
select resolver.sync_builds();
select t.claim('build');
select is(pg_temp.limits('old-low'), '{10000,0}', 'changed limits are propagated');
select pg_temp.finish();

select * from t.done();
rollback;
