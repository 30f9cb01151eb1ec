-- A person who restarts a build has all builds opened again that ended by the same failure: see reopen_builds().

alter table resolver.failure
    add column reopening boolean not null default false,
    add constraint failure_reopening_is_cleared check (not reopening or cleared is not null);
create index failure_reopening on resolver.failure (failure) where reopening;
comment on column resolver.failure.reopening is
    'A person restarted a build that was in its way: others that ended by it have yet to be opened again.';
