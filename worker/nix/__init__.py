"""Nix and nothing else: store paths, derivations, resolving, and a client of Nix stores.

A library of its own: it knows no database and no command line.
"""
