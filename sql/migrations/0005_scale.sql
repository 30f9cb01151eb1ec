-- What is looked up at every tick, on a farm that has seen many workers.
create index worker_living on resolver.worker (worker) where gone is null;
