-- lose_outputs(paths): these are gone from the store: whoever needs them waits for them again.
--
-- Stages    the owners of the paths: realised -> unloaded
--           their dependents: resolvable, buildable, resolved -> waiting, and the resolution is released
-- Locks     the caller holds the graph lock.
create or replace function resolver.lose_outputs(p_paths text[]) returns void
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_now        timestamptz := resolver.clock();
    v_lost       bigint[];
    v_dependents bigint[];
    v_dynamic    bigint[];
begin
    -- Also what was never served: a second path of an output.
    update resolver.realisation r set ceased = v_now where r.path = any (p_paths) and r.ceased is null;
    with gone as (
        update resolver.output o set valid_since = null, lost = v_now
         where o.path = any (p_paths) and o.valid_since is not null
        returning o.derivation
    )
    select array_agg(distinct g.derivation) into v_lost from gone g;
    if v_lost is null then
        return;
    end if;

    update resolver.derivation_state s set stage = 'unloaded', resolved_to = null
     where s.derivation = any (v_lost) and s.stage = 'realised'
       and exists (select from resolver.output o where o.derivation = s.derivation and o.wanted and o.valid_since is null);

    v_dependents := array(
        select distinct s.derivation
          from resolver.dependency dep
          join resolver.derivation_state s on s.derivation = dep.derivation
         where dep.input = any (v_lost) and s.stage in ('resolvable', 'buildable', 'resolved')
           and exists (select from resolver.output o where o.derivation = dep.input and o.name = any (dep.outputs)
                          and o.lost is not null));
    update resolver.resolution r set released = v_now
     where r.derivation = any (v_dependents || v_lost) and r.released is null
       and not exists (select from resolver.derivation_state s
                        where s.derivation = r.derivation and s.resolved_to is not null and s.derivation <> all (v_dependents));
    perform resolver.failpoint('lose_outputs: dependents found');
    -- First this, since it waits for claims that are being made without the graph lock; only then are all of them seen.
    update resolver.derivation_state s
       set stage = 'waiting', resolved_to = null, lease = null
     where s.derivation = any (v_dependents);
    perform resolver.end_claims(v_dependents);
    v_dynamic := array(
        select distinct dep.derivation
          from resolver.dependency dep
          join resolver.derivation_state s on s.derivation = dep.derivation and s.stage = 'waiting'
         where dep.input = any (v_lost) and exists (select from resolver.chain c where c.derivation = dep.derivation));
    perform resolver.follow_chains(v_dynamic);
    perform resolver.settle(v_dependents || v_dynamic);

    -- What was lost may have been nobody's concern, and what was to be made of it is not wanted any more.
    perform resolver.find_owners(array(
        select s.derivation from resolver.derivation_state s
         where s.derivation = any (v_lost || array(select r.resolved from resolver.resolution r
                                                    where r.derivation = any (v_dependents) and r.released = v_now))
           and (s.stage = 'buildable' or s.stage = 'unloaded' and s.owner is null)));

    insert into resolver.walk (kind, derivation)
    select 'want', x from unnest(v_dependents) x
    union all
    -- What failed was no concern of those who had the output that they need of it.
    select 'fail', s.derivation from resolver.derivation_state s
     where s.derivation = any (v_lost) and (s.stage = 'failed' or s.failed_dependency is not null)
    on conflict do nothing;
    perform pg_notify('derivation_wanted', '');
end
$$;

comment on function resolver.lose_outputs(text[]) is 'Outputs that are gone: their derivations are looked at again, dependents wait.';
