-- notify_finished(builds): sends build_finished for the first build and the builds that ended with it, in parts that fit a notification.
--
-- Notifies  build_finished
create or replace function resolver.notify_finished(p_builds integer[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_payload text := p_builds[1]::text;
    v_build   integer;
begin
    foreach v_build in array p_builds[2:]
    loop
        if length(v_payload) > 7000 - 12 then
            perform pg_notify('build_finished', v_payload);
            v_payload := p_builds[1]::text;
        end if;
        v_payload := v_payload || E'\t' || v_build;
    end loop;
    perform pg_notify('build_finished', v_payload);
end
$$;

comment on function resolver.notify_finished(integer[]) is 'Notifies Hydra''s programs that builds are finished.';
