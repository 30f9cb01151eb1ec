-- A build that ended by one of two failures comes back when the last of them is cleared: see reopen_builds().

alter table resolver.goal add column blamed timestamptz;
comment on column resolver.goal.blamed is
    'Since when another failure is its cause than the one by which it ended: that was cleared, and this one is in the way still.';
