-- find_cycle(): returns a dynamic derivation that waits for itself; null if there is none.
--
-- A .drv cannot name a .drv that names it, since each hash covers the text of the other. But a builder can write a .drv that needs the
-- derivation that waits for it. Every circle of this kind contains a chain. The function looks at a hundred derivations with a chain;
-- the others are looked at when these are done.
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

comment on function resolver.find_cycle() is 'A derivation that waits for itself, through a .drv that a builder wrote.';
