-- CHECK constraints and unique indexes: each one refuses a bad row, and the error has its name.
\ir include/farm.sql

-- Rows in every table.
select t.derivation('a');
select t.derivation('b', '{a}');
select t.derivation('bad');
select t.derivation('later');
select t.derivation('user', '{later,later^out^out}');
select t.want('b', 'b');
select t.want('bad', 'bad');
select t.want('user', 'user');
select t.load();
select t.finish('a');
select t.fail('bad');
select t.resolve('b', 'r-b');
select t.claim('build');

create temporary table breaks (name text primary key, statement text not null);
insert into breaks values
    ('derivation_drv_is_base_name', $$insert into resolver.derivation (drv) values ('/nix/store/' || t.drv('new'))$$),
    ('derivation_kind_known', $$update resolver.derivation set kind = 'odd'$$),
    ('derivation_loaded_whole', $$update resolver.derivation set name = null$$),
    ('derivation_pkey', $$insert into resolver.derivation overriding system value select * from resolver.derivation$$),
    ('derivation_drv_unique', $$insert into resolver.derivation (drv) select drv from resolver.derivation$$),
    ('derivation_state_pkey', $$insert into resolver.derivation_state select * from resolver.derivation_state$$),
    ('state_stage_known', $$update resolver.derivation_state set stage = 'odd' where stage = 'waiting'$$),
    ('state_resolved_to_while_resolved', $$update resolver.derivation_state set resolved_to = 1 where stage = 'waiting'$$),
    ('state_resolved_has_resolution', $$update resolver.derivation_state set resolved_to = null where stage = 'resolved'$$),
    ('state_lease_while_claimed', $$update resolver.derivation_state set lease = 1 where stage = 'waiting'$$),
    ('state_building_has_lease', $$update resolver.derivation_state set lease = null where stage = 'building'$$),
    ('state_realised_has_no_failed_dependency', $$update resolver.derivation_state set failed_dependency = 1 where stage = 'realised'$$),
    ('transition_key', 'insert into resolver.transition select * from resolver.transition'),
    ('watch_pkey', 'insert into resolver.watch select * from resolver.watch'),
    ('output_key', 'insert into resolver.output select * from resolver.output'),
    ('output_valid_has_path', 'update resolver.output set path = null where valid_since is not null'),
    ('output_valid_is_not_lost', 'update resolver.output set lost_at = valid_since where valid_since is not null'),
    ('dependency_key', 'insert into resolver.dependency select * from resolver.dependency'),
    ('dependency_is_not_circular', 'update resolver.dependency set input = derivation'),
    ('realisation_pkey', 'insert into resolver.realisation overriding system value select * from resolver.realisation'),
    ('realisation_valid', $$insert into resolver.realisation (derivation, output, path, source, time)
                            select derivation, output, path, 'local', time from resolver.realisation$$),
    ('realisation_source_known', $$update resolver.realisation set source = 'odd'$$),
    ('resolution_pkey', 'insert into resolver.resolution overriding system value select * from resolver.resolution'),
    ('resolution_in_force', $$insert into resolver.resolution (derivation, resolved, inputs, outputs, paths, time)
                              select derivation, derivation, inputs, outputs, paths, time from resolver.resolution$$),
    ('resolution_samples_are_whole', $$update resolver.resolution set paths = '{}'$$),
    ('failure_pkey', 'insert into resolver.failure overriding system value select * from resolver.failure'),
    ('chain_key', 'insert into resolver.chain select * from resolver.chain'),
    ('chain_followed_within_chain', 'update resolver.chain set followed = cardinality(outputs)'),
    ('failure_in_force', 'insert into resolver.failure (derivation, class, status, time) select derivation, class, status, time from resolver.failure'),
    ('failure_class_known', $$update resolver.failure set class = 'odd'$$),
    ('failure_reopening_is_cleared', 'update resolver.failure set is_reopening = true where cleared_at is null'),
    ('goal_pkey', 'insert into resolver.goal select * from resolver.goal'),
    ('goal_ended_has_status', 'update resolver.goal set status = null where ended_at is not null'),
    ('goal_recorded_after_end', 'update resolver.goal set recorded_at = opened_at where ended_at is null'),
    ('propagation_key', $$insert into resolver.propagation values ('want', 1), ('want', 1)$$),
    ('lost_path_pkey', $$insert into resolver.lost_path values ('a', now()), ('a', now())$$),
    ('build_request_pkey', 'insert into resolver.build_request values (1), (1)'),
    ('build_scan_pkey', 'insert into resolver.build_scan default values'),
    ('build_scan_is_one', 'update resolver.build_scan set only_row = false'),
    ('interrupted_step_key', $$insert into resolver.interrupted_step values (1, 1, 'a'), (1, 1, 'b')$$),
    ('propagation_kind_known', $$insert into resolver.propagation values ('odd', 1)$$),
    ('worker_pkey', 'insert into resolver.worker overriding system value select * from resolver.worker'),
    ('worker_verbs_known', $$update resolver.worker set verbs = '{odd}'$$),
    ('lease_pkey', 'insert into resolver.lease overriding system value select * from resolver.lease'),
    ('lease_open', $$insert into resolver.lease (derivation, verb, worker, opened_at)
                     select derivation, 'load', worker, opened_at from resolver.lease where closed_at is null$$),
    ('lease_verb_known', $$update resolver.lease set verb = 'odd' where verb = 'load'$$),
    ('lease_closed_has_outcome', 'update resolver.lease set closed_at = opened_at where closed_at is null'),
    ('lease_build_has_step', $$update resolver.lease set stepnr = null where verb = 'build'$$),
    ('history_pkey', 'insert into resolver.history overriding system value select * from resolver.history'),
    ('history_is_of_stage_or_output', $$update resolver.history set from_stage = null$$),
    ('store_pkey', 'insert into resolver.store select * from resolver.store'),
    ('store_is_one', 'update resolver.store set only_row = false'),
    ('writer_pkey', 'insert into resolver.writer default values'),
    ('writer_is_one', 'insert into resolver.writer values (false)'),
    ('setting_pkey', 'insert into resolver.setting default values'),
    ('setting_is_one', 'insert into resolver.setting values (false)'),
    ('setting_lease_time_positive', $$update resolver.setting set lease_time = '0'$$),
    ('setting_max_unsupported_time_not_negative', $$update resolver.setting set max_unsupported_time = '-1 s'$$),
    ('setting_max_tries_positive', 'update resolver.setting set max_tries = 0'),
    ('setting_retry_delay_not_negative', $$update resolver.setting set retry_delay = '-1 s'$$),
    ('state_wanted_has_jobset', $$update resolver.derivation_state set jobset = null where owner is not null$$),
    ('machine_type_pkey', 'insert into resolver.machine_type overriding system value select * from resolver.machine_type'),
    ('machine_type_unique', 'insert into resolver.machine_type (system, features, prefer_local, floating) select system, features, prefer_local, floating from resolver.machine_type'),
    ('jobset_use_key', 'insert into resolver.jobset_use select * from resolver.jobset_use'),
    ('worker_only_kind_known', $$update resolver.worker set only_kind = 'odd'$$),
    ('migration_key', 'insert into resolver.migration select * from resolver.migration'),
    ('installation_key', 'insert into resolver.installation select * from resolver.installation'),
    ('installation_is_one', 'update resolver.installation set only_row = false');

insert into resolver.history (transaction, time, derivation, from_stage, to_stage) values (1, resolver.clock(), 1, 'unloaded', 'waiting');
select throws_like(b.statement, '%"' || b.name || '"%', b.name || ' refuses a bad row')
  from breaks b order by b.name;

select set_eq(
    $$select k.conname from pg_constraint k where k.connamespace = 'resolver'::regnamespace and k.contype = 'c'
      union select c.relname from pg_index i join pg_class c on c.oid = i.indexrelid
             where c.relnamespace = 'resolver'::regnamespace and i.indisunique$$,
    'select name::name from breaks', 'the test has every constraint and unique index');

select * from t.done();
rollback;
