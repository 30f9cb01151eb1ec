"""All code that uses SQL: it installs the schema, and calls its procedures."""
