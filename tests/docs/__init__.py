"""Documents, examples, and the program dev say what is so."""
