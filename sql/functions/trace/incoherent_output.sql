-- incoherent_output: outputs for which another path was seen while the one that is served was valid.
create or replace view resolver.incoherent_output as
    select d.drv, first.output,
           first.path, first.build, first.stepnr, first.machine, first.time,
           other.path as other_path, other.build as other_build, other.stepnr as other_stepnr, other.machine as other_machine,
           other.time as other_time
      from resolver.realisation first
      join resolver.realisation other
        on other.derivation = first.derivation and other.output = first.output and other.path <> first.path
       and other.realisation > first.realisation and (first.ceased is null or first.ceased > other.time)
      join resolver.derivation d on d.derivation = first.derivation
     where not exists (select from resolver.realisation before
                        where before.derivation = first.derivation and before.output = first.output
                          and before.realisation < first.realisation
                          and (before.ceased is null or before.ceased > other.time));

comment on view resolver.incoherent_output is
    'Outputs that were found to have two paths at a time. The first is served as long as it is valid.';
