-- What was resolved to before may lack an output that nobody wanted until now.

insert into resolver.transition values ('realised', 'unloaded', 'follow');
