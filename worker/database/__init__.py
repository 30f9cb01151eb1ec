"""Everything that talks SQL: installing the schema, and calling its procedures."""
