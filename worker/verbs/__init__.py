"""The three verbs: the work of a worker with Nix for its claimed derivations.

Each verb takes claims and returns reports in the form of the procedures; none uses the database.
"""
