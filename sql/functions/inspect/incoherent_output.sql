-- incoherent_output: outputs for which a worker saw another path while the served path was valid.
--
-- If an original was found with a path of its own, it is one of them as long as its resolved derivation has another path.
create or replace view resolver.incoherent_output as
    select d.drv, first.output,
           first.path, first.build, first.stepnr, first.machine, first.time,
           other.path as other_path, other.build as other_build, other.stepnr as other_stepnr, other.machine as other_machine,
           other.time as other_time
      from resolver.realisation first
      join resolver.realisation other
        on other.derivation = first.derivation and other.output = first.output and other.path <> first.path
       and other.realisation > first.realisation and (first.ceased_at is null or first.ceased_at > other.time)
      join resolver.derivation d on d.derivation = first.derivation
     where not exists (select from resolver.realisation before
                        where before.derivation = first.derivation and before.output = first.output
                          and before.realisation < first.realisation
                          and (before.ceased_at is null or before.ceased_at > other.time))
    union all
    select d.drv, own.output,
           (x.first).path, (x.first).build, (x.first).stepnr, (x.first).machine, (x.first).time,
           (x.other).path, (x.other).build, (x.other).stepnr, (x.other).machine, (x.other).time
      from resolver.resolution r
      join resolver.derivation d on d.derivation = r.derivation
      join resolver.realisation own on own.derivation = r.derivation and own.ceased_at is null
      join resolver.output o on o.derivation = r.resolved and o.name = own.output and o.path <> own.path
      join resolver.realisation its
        on its.derivation = o.derivation and its.output = o.name and its.path = o.path and its.ceased_at is null
     cross join lateral (select case when own.realisation < its.realisation then own else its end as first,
                                case when own.realisation < its.realisation then its else own end as other) x
     where r.released_at is null;

comment on view resolver.incoherent_output is
    'Outputs that were found to have two paths at a time. The first path is served as long as it is valid.';
