"""Hydra's build graph in PostgreSQL: the worker and its command line."""
