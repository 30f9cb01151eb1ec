"""Nix and nothing else: store paths, derivations, resolving, and a client of Nix stores.

This package is a library of its own: it imports nothing but Python's standard library, and has no database and no
command line. This module imports nothing; import from
* ``store_path``, ``placeholder``: how Nix names things;
* ``derivation``, ``aterm``, ``aterm_print``, ``derivation_json``: derivations, and reading and writing them;
* ``structured_attrs``, ``attributes``: attributes in JSON, and requirements on a machine;
* ``resolvable``, ``resolve``: replacing inputs by the paths of their outputs;
* ``store``, ``client``, ``settings``, ``build_result``: querying a store, adding texts to it, building;
* ``closure``, ``roots``: sizes of closures, roots of the garbage collector;
* ``version``, ``errors``: differences between versions of Nix, errors of a Nix and of its connection.

All other modules, and the package ``protocol``, serve these. Store paths are base names (``str``) everywhere: a
``StoreDir`` turns them into full paths. Text in a derivation is ``bytes``, as in Nix.
"""
