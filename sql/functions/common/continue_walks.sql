-- continue_walks(limit): does a bounded part of the walks that are on the work list.
--
-- Returns   whether there is more. Every function that starts a walk calls this once; workers go on with it.
-- Locks     the caller holds the graph lock (advance() takes it).
-- Failures are cleared before they are spread, so that a restart is not overtaken by the failure it clears. Heights can
-- wait: only advance() raises them, when all else is done. While a graph is loaded, each would be raised again and again.
create or replace function resolver.continue_walks(p_limit integer default 1000, p_raise boolean default false) returns boolean
    language plpgsql volatile
    set search_path = pg_catalog, pg_temp
as $$
declare
    v_left  integer := p_limit;
    v_kind  text;
    v_layer bigint[];
begin
    while v_left > 0 loop
        select w.kind into v_kind from resolver.walk w where p_raise or w.kind <> 'raise'
         order by w.kind = 'raise', w.kind limit 1;
        if not found then
            return false;
        end if;
        with taken as (
            delete from resolver.walk w
             where w.kind = v_kind
               and w.derivation = any (array(select l.derivation from resolver.walk l where l.kind = v_kind
                                               order by l.derivation limit v_left))
            returning w.derivation
        )
        select array_agg(t.derivation) into v_layer from taken t;

        case v_kind
            when 'clear' then perform resolver.clear_dependents(v_layer);
            when 'disown' then perform resolver.disown(v_layer);
            when 'fail' then perform resolver.reach_dependents(v_layer);
            when 'want' then perform resolver.want_inputs(v_layer);
            when 'raise' then perform resolver.raise_inputs(v_layer);
        end case;
        v_left := v_left - cardinality(v_layer);
    end loop;
    return exists (select from resolver.walk);
end
$$;

comment on function resolver.continue_walks(integer, boolean) is 'Takes walks over the graph further; true when there is more to do.';
