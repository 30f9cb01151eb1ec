-- Hydra's own triggers: it counts finished builds, and tells its programs when a person changes a build.

create function modifyNrBuildsFinished() returns trigger as $$
begin
    if (tg_op = 'INSERT' and new.finished = 1) or (tg_op = 'UPDATE' and old.finished = 0 and new.finished = 1) then
        update NrBuilds set count = count + 1 where what = 'finished';
    elsif (tg_op = 'DELETE' and old.finished = 1) or (tg_op = 'UPDATE' and old.finished = 1 and new.finished = 0) then
        update NrBuilds set count = count - 1 where what = 'finished';
    end if;
    return null;
end
$$ language plpgsql;

create trigger NrBuildsFinished after insert or update or delete on Builds
    for each row execute procedure modifyNrBuildsFinished();

create function notifyBuildsDeleted() returns trigger as $$
    begin notify builds_deleted; return null; end
$$ language plpgsql;
create trigger BuildsDeleted after delete on Builds
    execute procedure notifyBuildsDeleted();

create function notifyBuildRestarted() returns trigger as $$
    begin notify builds_restarted; return null; end
$$ language plpgsql;
create trigger BuildRestarted after update on Builds
    for each row when (old.finished = 1 and new.finished = 0)
    execute procedure notifyBuildRestarted();

create function notifyBuildCancelled() returns trigger as $$
    begin notify builds_cancelled; return null; end
$$ language plpgsql;
create trigger BuildCancelled after update on Builds
    for each row when (old.finished = 0 and new.finished = 1 and new.buildStatus = 4)
    execute procedure notifyBuildCancelled();

create function notifyBuildBumped() returns trigger as $$
    begin notify builds_bumped; return null; end
$$ language plpgsql;
create trigger BuildBumped after update on Builds
    for each row when (old.globalPriority != new.globalPriority)
    execute procedure notifyBuildBumped();

create function notifyJobsetSharesChanged() returns trigger as $$
    begin notify jobset_shares_changed; return null; end
$$ language plpgsql;
create trigger JobsetSharesChanged after update on Jobsets
    for each row when (old.schedulingShares != new.schedulingShares)
    execute procedure notifyJobsetSharesChanged();
