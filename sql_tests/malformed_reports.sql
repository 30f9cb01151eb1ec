-- If one element of a report cannot be applied, it is refused, with the reason, and the others count.
\ir include/farm.sql

-- Sends a good element after a bad one, each about a derivation of its own, and checks the outcomes.
create temporary sequence nr;
create function pg_temp.beside(p_procedure text, p_change jsonb, p_what text) returns setof text language plpgsql as $$
declare
    v_nr   bigint := nextval('nr');
    v_b    text := 'bad' || v_nr;
    v_g    text := 'good' || v_nr;
    v_verb text := case p_procedure when 'register_derivations' then 'load' when 'set_resolved_to' then 'resolve' else 'build' end;
    v_bad  jsonb;
    v_good jsonb;
    v_seen text[];
begin
    if v_verb = 'resolve' then
        perform t.derivation('in' || v_nr), t.derivation(v_b, array['in' || v_nr]), t.derivation(v_g, array['in' || v_nr]);
    else
        perform t.derivation(v_b), t.derivation(v_g);
    end if;
    perform t.want(v_b, v_b), t.want(v_g, v_g);
    if v_verb <> 'load' then
        perform t.load();
    end if;
    if v_verb = 'resolve' then
        perform t.finish('in' || v_nr);
    end if;
    perform t.claim(v_verb);
    v_bad := case p_procedure when 'register_derivations' then t.loaded(v_b) when 'set_resolved_to' then t.resolution(v_b, 'r-' || v_b)
                              when 'finish_steps' then t.success(v_b) else t.failure(v_b) end;
    v_good := case p_procedure when 'register_derivations' then t.loaded(v_g) when 'set_resolved_to' then t.resolution(v_g, 'r-' || v_g)
                               when 'finish_steps' then t.success(v_g) else t.failure(v_g) end;
    v_bad := case when jsonb_typeof(p_change) = 'object' then v_bad || p_change else p_change end;
    execute format('select array_agg(outcome order by nr) from resolver.%I(%L) with ordinality x (lease, outcome, detail, nr)',
                   p_procedure, jsonb_build_array(v_bad, v_good)) into v_seen;
    return next is(v_seen, '{refused,done}', format('%s: %s is refused, and the other counts', p_procedure, p_what));
    return next is((select closed_at from resolver.lease where lease = t.lease(v_b, v_verb)), null, 'the refused claim stays open');
    return next is_empty('select * from resolver.invariant_violations()', 'no invariant is broken');
    perform resolver.cancel_build(id) from Builds where finished = 0;
    perform resolver.release_claims(t.worker_id(), array(select lease from resolver.lease where closed_at is null), 'the next case');
end
$$;

create temporary table malformed (procedure text, change jsonb, what text);
insert into malformed values
    ('finish_steps', '5', 'a number'),
    ('finish_steps', 'null', 'null'),
    ('finish_steps', '[]', 'an array'),
    ('finish_steps', '{"lease": "x"}', 'a lease that is a text'),
    ('finish_steps', '{"lease": 1e30}', 'a lease that is too large'),
    ('finish_steps', '{"lease": null}', 'no lease'),
    ('finish_steps', '{"outputs": null}', 'no outputs'),
    ('finish_steps', '{"outputs": "x"}', 'outputs that are a text'),
    ('finish_steps', '{"outputs": {}}', 'not all outputs'),
    ('finish_steps', '{"outputs": {"out": null}}', 'an output without a path'),
    ('finish_steps', '{"outputs": {"out": "garbage"}}', 'an invalid path'),
    ('finish_steps', '{"outputs": {"out": "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-x"}}', 'a full path'),
    ('finish_steps', '{"outputs": {"out": "0123456789abcdfghijklmnpqrsvwxyz-x\n"}}', 'a path with a newline'),
    ('finish_steps', '{"outputs": {"out": "0123456789abcdfghijklmnpqrsvwxyz-x", "odd": "0123456789abcdfghijklmnpqrsvwxyz-x"}}',
     'an output that the derivation does not have'),
    ('finish_steps', '{"overhead": "long"}', 'an overhead that is a text'),
    ('finish_steps', '{"times_built": 1e30}', 'a number that is too large'),
    ('finish_steps', '{"non_deterministic": "maybe"}', 'an invalid boolean'),
    ('finish_steps', '{"already_valid": 7}', 'a number for a boolean'),
    ('finish_steps', '{"info": {"size": "large"}}', 'a size that is a text'),
    ('finish_steps', '{"info": {"failed": false, "products": 5, "metrics": []}}', 'products that are a number'),
    ('finish_steps', '{"info": {"failed": false, "products": [{"type": null}], "metrics": []}}', 'a product without a type'),
    ('finish_steps', '{"info": {"failed": false, "products": [], "metrics": [{"name": null, "value": 1}]}}', 'a metric without a name'),
    ('finish_steps', '{"info": {"failed": false, "products": [], "metrics": [{"name": "m", "value": "x"}]}}', 'a metric without a value'),
    ('fail_steps', '{"class": null}', 'no class'),
    ('fail_steps', '{"class": "odd"}', 'an unknown class'),
    ('fail_steps', '{"status": null}', 'no status'),
    ('fail_steps', '{"status": "bad"}', 'a status that is a text'),
    ('fail_steps', '{"overhead": []}', 'an overhead that is an array'),
    ('register_derivations', '{"drv": "x"}', 'another derivation'),
    ('register_derivations', '{"outputs": 5}', 'outputs that are a number'),
    ('register_derivations', '{"outputs": [5]}', 'an output that is a number'),
    ('register_derivations', '{"inputs": [{"drv": "garbage", "outputs": ["out"]}]}', 'an input that is no derivation'),
    ('register_derivations', '{"inputs": [{"drv": null, "outputs": ["out"]}]}', 'an input without a name'),
    ('register_derivations', '{"inputs": 5}', 'inputs that are a number'),
    ('register_derivations', '{"kind": "odd"}', 'an unknown kind'),
    ('register_derivations', '{"kind": null}', 'no kind'),
    ('register_derivations', '{"features": "x"}', 'features that are a text'),
    ('register_derivations', '{"failed": {"class": "odd", "status": 1}}', 'a failure of an unknown class'),
    ('register_derivations', '{"failed": {"class": "builder", "status": "x"}}', 'a failure without a status'),
    ('set_resolved_to', '{"samples": 5}', 'samples that are a number'),
    ('set_resolved_to', '{"resolved": {"drv": "garbage", "name": "x", "kind": "floating", "outputs": []}}', 'an invalid derivation'),
    ('set_resolved_to', '{"resolved": {"drv": null}}', 'a derivation without a name'),
    ('set_resolved_to', '{"resolved": 5}', 'a number'),
    ('set_resolved_to', '{"failed": {"class": "odd", "status": 1}}', 'a failure of an unknown class');
select pg_temp.beside(m.procedure, m.change, m.what) from malformed m;

-- The detail has the reason.
select t.derivation('a');
select t.want('a', 'a');
select t.load();
select t.claim('build');
select is((select detail from resolver.finish_steps(jsonb_build_array(t.success('a') || '{"outputs": {"out": "garbage", "odd": "x"}}'))),
          'the derivation has no output odd; ''garbage'' is no base name of a store path', 'the detail has every error of the outputs');
select is((select detail from resolver.finish_steps(jsonb_build_array(t.success('a') || '{"times_built": "x"}'))),
          'invalid input syntax for type integer: "x"', 'the detail has the database''s message');
select t.derivation('known', p_kind => 'input-addressed');
select t.want('known', 'known');
select t.load();
select t.claim('build');
select is((select detail from resolver.finish_steps(jsonb_build_array(t.success('known', jsonb_build_object('out', t.path('other')))))),
          format('output out has the path %s', t.path('known')), 'an output whose path is known may have no other path');

-- Values that are no reports.
select throws_ok(format('select * from resolver.%s(%L)', p, r), 'NX020', 'a report is an array of at most 100 elements', p || ': ' || r)
  from unnest('{finish_steps,fail_steps,register_derivations,set_resolved_to}'::text[]) p, unnest('{"{}",5,null}'::text[]) r;
select throws_ok('select * from resolver.finish_steps((select jsonb_agg(i) from generate_series(1, 101) i))', 'NX020', null,
                 'a report with too many elements is refused');

select * from t.done();
rollback;
