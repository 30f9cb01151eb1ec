-- find_cycle(): a dynamic derivation that waits for itself; null when there is none.
--
-- A .drv can't name what names it, since its hash is in the other's text. But a builder can write a .drv that needs what is
-- waiting for it. In every such circle there is a chain. Looks at a hundred that have one: others get their turn when these are done.
create or replace function resolver.find_cycle() returns bigint
    language sql stable
    set search_path = pg_catalog, pg_temp
as $$
    with recursive watched as (
        select s.derivation, w.input
          from (select distinct w.derivation
                  from resolver.chain c join resolver.watch w on w.derivation = c.derivation
                 limit 100) s
          join resolver.watch w on w.derivation = s.derivation
        union
        select x.derivation, w.input
          from watched x join resolver.watch w on w.derivation = x.input
         where x.input <> x.derivation
    )
    select min(x.derivation) from watched x where x.input = x.derivation
$$;

comment on function resolver.find_cycle() is 'A derivation that waits for itself, by way of one that a builder wrote.';
