# What the files of cases share: derivations of each kind, built by a shell.
rec {
  base = name: script: attrs: {
    inherit name;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" script ];
  } // attrs;

  # Input-addressed, or deferred when a path of its inputs is not known beforehand.
  plain = name: script: attrs: derivation (base name script attrs);

  floating = name: script: attrs: plain name script ({
    __contentAddressed = true;
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
  } // attrs);

  # Its output is to be the five bytes of "hello".
  fixed = name: script: attrs: plain name script ({
    outputHashMode = "flat";
    outputHashAlgo = "sha256";
    outputHash = builtins.hashString "sha256" "hello";
  } // attrs);

  impure = name: script: attrs: plain name script ({
    __impure = true;
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
  } // attrs);

  # Drops what the evaluator knows of a text's inputs: then it may stand in an attribute's name. Another attribute has
  # to mention them.
  discard = builtins.unsafeDiscardStringContext;

  # All derivations that are values of attributes, or stand in lists that are; nix-instantiate does not look into those.
  all = cases: builtins.concatLists (map (case: if builtins.isList case then case else [ case ])
    (builtins.attrValues cases));

  # Whether the Nix that reads this is of that version or later.
  atLeast = version: builtins.compareVersions builtins.nixVersion version >= 0;

  # The version that builds the outputs of derivations which are outputs.
  dynamic = "2.29";
}
