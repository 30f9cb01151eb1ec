# Shared by the files of cases: derivations of each kind, built by a shell.
rec {
  base = name: script: attrs: {
    inherit name;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" script ];
  } // attrs;

  # Input-addressed, or deferred if the path of an input is not known in advance.
  plain = name: script: attrs: derivation (base name script attrs);

  floating = name: script: attrs: plain name script ({
    __contentAddressed = true;
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
  } // attrs);

  # Its output must be the five bytes of "hello".
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

  # Removes the context of a text, so that the text may be the name of an attribute. Another attribute must mention the
  # inputs.
  discard = builtins.unsafeDiscardStringContext;

  # All derivations in values of attributes, also inside lists, which nix-instantiate would not enter.
  all = cases: builtins.concatLists (map (case: if builtins.isList case then case else [ case ])
    (builtins.attrValues cases));

  # Whether the Nix that evaluates this has this version or a later one.
  atLeast = version: builtins.compareVersions builtins.nixVersion version >= 0;

  # The first version that builds dynamic derivations.
  dynamic = "2.29";
}
