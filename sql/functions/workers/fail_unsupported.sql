-- fail_unsupported(): derivations that waited too long for a worker that takes them fail, twenty of each machine type at a time.
--
-- The time counts from when the last worker that takes the type left, or from when its first derivation was ready. If a build was
-- added later, its derivations fail only when the build has waited as long itself. If no worker lives, nothing fails; see
-- register_worker().
-- Stages    buildable -> failed
-- Locks     the graph lock, only if there is something to do
-- Notifies  as a failed step does: see fail_without_attempt()
create or replace function resolver.fail_unsupported() returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_before      timestamptz := resolver.clock() - (select s.max_unsupported_time from resolver.setting s);
    v_unsupported integer[] := resolver.unsupported_types();
    v_type        integer;
    v_late        bigint[];
begin
    if not exists (select from resolver.worker w where w.gone_at is null)
       or not exists (select from resolver.machine_type m
                       where (m.unsupported_since is not null) <> (m.machine_type = any (v_unsupported))
                          or m.unsupported_since <= v_before) then
        return;
    end if;
    perform resolver.lock_graph();
    v_unsupported := resolver.unsupported_types();
    update resolver.machine_type m
       set unsupported_since = case when m.machine_type = any (v_unsupported) then resolver.clock() end
     where (m.unsupported_since is not null) <> (m.machine_type = any (v_unsupported));

    for v_type in select m.machine_type from resolver.machine_type m where m.unsupported_since <= v_before order by 1 loop
        v_late := array(
            select s.derivation
              from resolver.derivation_state s
              left join resolver.goal g on g.build = s.owner and g.ended_at is null
             where s.stage = 'buildable' and s.owner > 0 and s.machine_type = v_type
               and (g.build is null or g.opened_at <= v_before)
             limit 20);
        -- No claim has checked that a build still wants them.
        perform resolver.find_owners(array(
            select s.derivation from resolver.derivation_state s
             where s.derivation = any (v_late)
               and (select g.ended_at is null from resolver.goal g where g.build = s.owner) is not true));
        perform resolver.fail_without_attempt(s.derivation, jsonb_build_object(
                    'class', 'unsupported', 'status', 9, 'message', resolver.missing_capabilities(v_type)))
           from resolver.derivation_state s join resolver.goal g on g.build = s.owner and g.opened_at <= v_before
          where s.derivation = any (v_late);
        if cardinality(v_late) < 20 then
            update resolver.machine_type m
               set unsupported_since = (select min(g.opened_at) from resolver.derivation_state s join resolver.goal g on g.build = s.owner
                                         where s.stage = 'buildable' and s.owner > 0 and s.machine_type = v_type)
             where m.machine_type = v_type;
        end if;
    end loop;
    perform resolver.run_deferred_work(20);
end
$$;

comment on function resolver.fail_unsupported() is
    'Derivations that no live worker takes fail as unsupported after resolver.setting.max_unsupported_time.';
