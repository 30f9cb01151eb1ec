"""The three verbs: what a worker does with Nix for derivations that it has claimed.

Each takes claims and returns reports, as the procedures want them; none talks to the database.
"""
