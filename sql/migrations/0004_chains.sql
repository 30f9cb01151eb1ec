-- Dynamic derivations: derivations that depend on outputs of derivations which are outputs themselves.

create table resolver.chain (
    derivation bigint not null,
    root       bigint not null,
    outputs    text[] not null,
    followed   integer not null default 0,
    input      bigint not null,
    constraint chain_key primary key (derivation, root, outputs),
    constraint chain_followed_within_chain check (followed >= 0 and followed < cardinality(outputs))
);
comment on table resolver.dependency is
    'A derivation input, or what a chain leads to: satisfied when all the outputs it names are valid.';
create index chain_input on resolver.chain (input);
comment on table resolver.chain is
    'What a dynamic derivation needs: an output of its input, or of the derivation that this output is, and so on.';
comment on column resolver.chain.root is 'The input that its .drv names.';
comment on column resolver.chain.outputs is
    'Output names: the first is one of the root; each further one is of the derivation that the one before turned out to be.';
comment on column resolver.chain.followed is 'How many of the outputs were found to be derivations: all but the last when it is followed to the end.';
comment on column resolver.chain.input is 'The derivation that this leads to so far, whose next output is needed.';
