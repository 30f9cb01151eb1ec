"""Nix and nothing else: store paths, derivations, resolving, and a client of Nix stores.

A library of its own: it imports nothing but Python's standard library, and knows no database and no command line.
Nothing is imported here; import from

* ``store_path``, ``placeholder``: how Nix names things;
* ``derivation``, ``aterm``, ``aterm_print``, ``derivation_json``: derivations, and reading and writing them;
* ``structured_attrs``, ``attributes``: what derivations say in JSON, and what they ask of a machine;
* ``resolvable``, ``resolve``: replacing inputs by the paths of their outputs;
* ``store``, ``client``, ``settings``, ``build_result``: asking a store, adding texts to it, building;
* ``closure``, ``roots``: sizes of closures, roots of the garbage collector;
* ``version``, ``errors``: what versions of Nix do differently, what can go wrong between us and a Nix.

All others, and the package ``protocol``, serve these. Store paths are base names (``str``) everywhere: a ``StoreDir``
turns them into full paths. What is text in a derivation is ``bytes``, as in Nix.
"""
