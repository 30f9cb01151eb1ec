-- Attempts that are made again, time limits of what several builds need, builds with another root, and an outage of all workers.

alter table resolver.derivation_state add taken_back bigint;
comment on column resolver.derivation_state.taken_back is
    'Lease of the last attempt, if that was taken back without a report: the next one for the same build takes its step row.';
update resolver.derivation_state s set taken_back = l.lease
  from (select distinct on (l.derivation) l.derivation, l.lease, l.outcome
          from resolver.lease l where l.verb = 'build' order by l.derivation, l.lease desc) l
 where l.derivation = s.derivation and s.stage = 'buildable' and l.outcome in ('swept', 'released');

alter table resolver.derivation_state
    add max_silent integer,
    add timeout integer;
comment on column resolver.derivation_state.max_silent is
    'Largest maxsilent, in seconds, of the builds that wanted it, if it is larger than Hydra''s default; 2147483647: no limit. timeout: likewise.';
comment on column resolver.derivation_state.timeout is 'Largest timeout of the builds that wanted it, if it is larger than Hydra''s default.';

alter table resolver.walk drop constraint walk_kind_known;
alter table resolver.walk add constraint walk_kind_known check (kind in ('want', 'fail', 'clear', 'raise', 'disown'));
comment on column resolver.walk.kind is
    'want: its inputs become wanted; fail: its dependents learn that it failed; clear: they learn that it was restarted;
raise: its inputs learn its height; disown: its owner may not need it any more.';

create index worker_gone on resolver.worker (gone) where gone is not null;
