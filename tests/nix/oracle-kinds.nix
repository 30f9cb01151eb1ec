# Every kind of derivation on every kind of input, and on every set of kinds of inputs.
let
  lib = import ./oracle-lib.nix;
  recent = lib.atLeast "2.31";
  inherit (builtins) attrNames concatMap concatStringsSep filter hashString listToAttrs map;

  algorithms = [ "md5" "sha1" "sha256" "sha512" ] ++ (if recent then [ "blake3" ] else [ ]);
  hello = {
    flat = algorithm: hashString algorithm "hello";
    text = algorithm: hashString algorithm "hello";
    recursive = algorithm: {
      md5 = "md5-1fcQVsH7BW7Gc9fJQtYmmw==";
      sha1 = "sha1-UURhKyMIHaSasAi9C3OWC2orf+k=";
      sha256 = "sha256-CkMIecJm+LV/QJKg+TXPP6zUi7zN5XYNR0jKQFFx6Wk=";
      sha512 = "sha512-DRskJP3hiFGY3dmeJY5UMcTwC2znVqlKMdFVY0cJaaLLxN3rNqeqk60hvgjPK9ZZ5xHMibDDb7ihp2GIN30Cgw==";
      blake3 = "blake3-7jpuOXtMm4zbSFgvpSh/GKcOuXUgngDbBgXWpK/XWvE=";
    }.${algorithm};
    git = algorithm: {
      sha1 = "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0";
      sha256 = "8aec4e4876f854f688d0ebfc8f37598f38e5fd6903cccc850ca36591175aeb60";
    }.${algorithm};
  };
  of = mode: algorithm: { outputHashMode = mode; outputHashAlgo = algorithm; };
  hashings =
    map (of "flat") algorithms ++ map (of "recursive") algorithms
    ++ [ (of "text" "sha256") ]
    # Nix 2.26 does not find a built output that it must hash as git does.
    ++ (if recent then map (of "git") [ "sha1" "sha256" ] else [ ]);
  variants = kind: extra: listToAttrs (map (hashing: {
    name = "${kind}-${hashing.outputHashMode}-${hashing.outputHashAlgo}";
    value = hashing // extra hashing;
  }) hashings);

  # A function that makes a derivation of this kind.
  kinds = { plain = { }; }
    // variants "fixed" (hashing: { outputHash = hello.${hashing.outputHashMode} hashing.outputHashAlgo; })
    // variants "floating" (_: { __contentAddressed = true; })
    // variants "impure" (_: { __impure = true; });

  make = name: kind: inputs: lib.plain name "printf hello > $out" (kind // { inherit inputs; });

  leaf = make "leaf" kinds.floating-recursive-sha256 [ ];
  inner = make "inner" kinds.floating-recursive-sha256 [ leaf ];
  producer = lib.floating "inner.drv"
    "PATH=/usr/bin:/bin cp ${builtins.unsafeDiscardOutputDependency inner.drvPath} $out" { outputHashMode = "text"; };

  inputs = builtins.mapAttrs (name: kind: make "input-${name}" kind [ ]) kinds
    // { deferred = make "input-deferred" kinds.plain [ leaf ]; }
    // (if lib.atLeast lib.dynamic then { dynamic = builtins.outputOf producer.outPath "out"; } else { });

  isPure = kind: !(kind ? __impure);
  mayDependOn = kind: input: kind ? __impure || kind ? outputHash || isPure (kinds.${input} or { });

  on = kind: set: rec {
    name = "${kind}-on_" + concatStringsSep "_" set;
    value = make name kinds.${kind} (map (input: inputs.${input}) set);
  };
  allowed = kind: filter (set: builtins.all (mayDependOn kinds.${kind}) set);
  subsets = list: if list == [ ] then [ [ ] ] else
    let rest = subsets (builtins.tail list); in rest ++ map (more: [ (builtins.head list) ] ++ more) rest;

  someKinds = [ "plain" "fixed-recursive-sha256" "floating-recursive-sha256" "impure-recursive-sha256" ];
  someInputs = filter (input: inputs ? ${input})
    [ "plain" "fixed-flat-sha256" "floating-recursive-sha256" "deferred" "dynamic" "impure-recursive-sha256" ];
  singles = map (input: [ input ]);
  wanted = concatMap (kind: map (on kind) (allowed kind (singles someInputs))) (attrNames kinds)
    ++ concatMap (kind: map (on kind) (allowed kind (singles (attrNames inputs) ++ subsets someInputs))) someKinds;
in
listToAttrs wanted
