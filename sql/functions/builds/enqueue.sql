-- enqueue(project, jobset, file, jobs, errors, retry): adds an evaluation with new builds, as Hydra's evaluator would.
--
-- Arguments jobs: [{"job", "drv", "system", "nix_name", "description", "license", "homepage", "maintainers",
--           "max_silent", "timeout", "priority", "is_channel", "outputs": {name: path or null}}], full paths
--           errors: attributes that failed to evaluate, in words; retry: known failures are tried again, else they end builds
-- Returns   the new builds, in the order of jobs
-- Notifies  builds_added, derivation_wanted, step_ready
create or replace function resolver.enqueue(
    p_project text, p_jobset text, p_file text, p_jobs jsonb, p_errors text, p_retry boolean
) returns integer[]
    language plpgsql volatile security definer
    set search_path = pg_catalog, public, pg_temp
as $$
declare
    v_now    integer := resolver.hydra_time(resolver.clock());
    v_jobset integer;
    v_eval   integer;
    v_error  integer;
    v_build  integer;
    v_builds integer[] := array[]::integer[];
    v_job    jsonb;
begin
    perform resolver.limit_idle_transaction();
    insert into public.Users (userName, fullName, emailAddress, password, type)
    values ('hydra-resolver', 'hydra-resolver', '', '!', 'hydra') on conflict do nothing;
    insert into public.Projects (name, displayName, owner)
    values (p_project, p_project, 'hydra-resolver') on conflict do nothing;
    insert into public.Jobsets (project, name, nixExprInput, nixExprPath, emailOverride, checkInterval)
    values (p_project, p_jobset, 'file', p_file, '', 0) on conflict do nothing;
    update public.Jobsets j
       set lastCheckedTime = v_now, errorMsg = p_errors, errorTime = case when p_errors is not null then v_now end
     where j.project = p_project and j.name = p_jobset
    returning j.id into v_jobset;

    if p_errors is not null then
        insert into public.EvaluationErrors (errorMsg, errorTime) values (p_errors, v_now) returning id into v_error;
    end if;
    insert into public.JobsetEvals (jobset_id, evaluationerror_id, timestamp, checkoutTime, evalTime, hasNewBuilds, hash, nrBuilds)
    values (v_jobset, v_error, v_now, 0, 0, (jsonb_array_length(p_jobs) > 0)::integer, md5(p_jobs::text), jsonb_array_length(p_jobs))
    returning id into v_eval;

    for v_job in select e.job from jsonb_array_elements(p_jobs) with ordinality e (job, nr) order by e.nr
    loop
        insert into public.Builds (finished, timestamp, jobset_id, job, nixName, description, drvPath, system, license, homepage,
                                   maintainers, maxsilent, timeout, isChannel, isCurrent, priority)
        values (0, v_now, v_jobset, v_job ->> 'job', v_job ->> 'nix_name', v_job ->> 'description', v_job ->> 'drv',
                v_job ->> 'system', v_job ->> 'license', v_job ->> 'homepage', v_job ->> 'maintainers',
                coalesce((v_job ->> 'max_silent')::integer, 3600), coalesce((v_job ->> 'timeout')::integer, 36000),
                coalesce((v_job ->> 'is_channel')::boolean, false)::integer, 1, coalesce((v_job ->> 'priority')::integer, 100))
        returning id into v_build;
        insert into public.BuildOutputs (build, name, path)
        select v_build, o.name, o.path from jsonb_each_text(v_job -> 'outputs') o (name, path);
        insert into public.JobsetEvalMembers (eval, build, isNew) values (v_eval, v_build, 1);
        v_builds := v_builds || v_build;
    end loop;

    -- All builds could take too long: the first hundred become goals now, the others at the next ticks of a worker.
    insert into resolver.build_request (build, retry) select b, p_retry from unnest(v_builds[101:]) b;
    perform pg_notify('builds_added', v_eval::text);
    perform resolver.lock_graph();
    perform resolver.open_goals(v_builds[:100], case when p_retry then v_builds[:100] else '{}' end,
                                case when p_retry then '{}' else v_builds[:100] end);
    perform resolver.run_deferred_work(50);
    return v_builds;
end
$$;

comment on function resolver.enqueue(text, text, text, jsonb, text, boolean) is
    'Adds project, jobset, evaluation and builds for jobs that were evaluated; returns the builds.';
