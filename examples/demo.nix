# One small job for every way in which a derivation can end. Needs only /bin/sh (two jobs call mkdir as well).
#
# Each comment says how the build ends, and lists its steps: a step "resolved" names the resolved derivation of the
# job, and the next step belongs to that derivation. Unless the comment says otherwise, a job succeeds and is built. A
# second run finds every output in place: successful builds succeed again, cached, without a step.
let
  # A derivation made by a few lines of shell.
  shell = fields: script: derivation ({
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-euc" script ];
    PATH = "/bin:/usr/bin";
  } // fields);

  # A derivation whose output paths follow from the content that it built.
  floating = name: floatingOutputs name [ "out" ];
  floatingOutputs = name: outputs: shell {
    inherit name outputs;
    __contentAddressed = true;
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
  };

  # A derivation whose output is known before it is built.
  fixed = name: content: shell {
    inherit name;
    outputHashMode = "flat";
    outputHashAlgo = "sha256";
    outputHash = builtins.hashString "sha256" content;
  };

  # Two ways to write one list. The derivations differ, their outputs are equal: their dependents are built only once.
  words = script: rec {
    recurseForDerivations = true;
    list = floating "list-of-words" script;
    count = floating "count-of-words" ''
      count=0
      while read -r word; do count=$((count + 1)); done < ${list}
      echo "$count" > "$out"
    '';
    report = floating "report-on-words" ''
      read -r count < ${count}
      echo "The list has $count words." > "$out"
    '';
  };
in
rec {
  # A floating derivation without inputs, so nothing to resolve. Steps: built.
  leaf = floating "floating-leaf" ''echo "a leaf" > "$out"'';

  # Floating on floating. Steps: resolved, built.
  on-leaf = floating "floating-on-floating" ''
    read -r line < ${leaf}
    echo "$line, seen from above" > "$out"
  '';

  # Each link waits for the previous link. Steps of the first: built; of the others: resolved, built.
  chain = rec {
    recurseForDerivations = true;
    first = floating "chain-first" ''echo 1 > "$out"'';
    second = floating "chain-second" ''{ read -r n; echo "$n 2" > "$out"; } < ${first}'';
    third = floating "chain-third" ''{ read -r n; echo "$n 3" > "$out"; } < ${second}'';
  };

  # Three outputs, three paths. Steps: built, once for all three.
  outputs = floatingOutputs "three-outputs" [ "out" "dev" "doc" ] ''
    echo program > "$out"
    echo header > "$dev"
    echo manual > "$doc"
  '';

  # Uses one of the three: `dev` alone is filled in. Steps: resolved, built.
  uses-one-output = floating "uses-one-output" ''echo "reads ${outputs.dev}" > "$out"'';

  # Uses all three. Steps: resolved, built.
  uses-all-outputs = floating "uses-all-outputs" ''
    echo "reads ${outputs} ${outputs.dev} ${outputs.doc}" > "$out"
  '';

  # `out` names itself and its sibling `lib`; both names are placeholders until the content is known. Steps: built.
  refers-to-itself = floatingOutputs "refers-to-itself" [ "out" "lib" ] ''
    echo "a library" > "$lib"
    echo "I am $out, and I use $lib" > "$out"
  '';

  # Its path follows from its inputs, as for every derivation without content addressing. Steps: built.
  input-addressed = shell { name = "input-addressed"; } ''echo "known beforehand" > "$out"'';

  # Input-addressed, but the path of an input is not known yet: deferred until `leaf` is built. Steps: resolved, built.
  deferred = shell { name = "deferred-on-floating"; } ''
    read -r line < ${leaf}
    echo "$line, deferred" > "$out"
  '';

  # Floating on deferred. Steps: resolved, built.
  on-deferred = floating "floating-on-deferred" ''
    read -r line < ${deferred}
    echo "$line, and floating again" > "$out"
  '';

  # The content is promised. Steps: built.
  fixed-output = fixed "fixed-output" "promised\n" ''echo promised > "$out"'';

  # The content is promised, and a floating input is needed to make it. Steps: resolved, built.
  fixed-on-floating = fixed "fixed-on-floating" "promised, and kept\n" ''
    read -r line < ${leaf}
    echo "promised, and kept" > "$out"
  '';

  # Its content differs from the promise. Fails. Steps: failed.
  wrong-hash = fixed "fixed-output-with-wrong-hash" "promised\n" ''echo "something else" > "$out"'';

  # Its builder fails. Fails. Steps: failed.
  fails = floating "builder-that-fails" ''
    echo "this builder fails on purpose" >&2
    exit 1
  '';

  # Is resolved, then its builder fails. Fails by itself, not because of a dependency. Steps: resolved, failed.
  fails-resolved = floating "builder-that-fails-after-resolution" ''
    read -r line < ${leaf}
    echo "this builder fails on purpose, with $line" >&2
    exit 1
  '';

  # Its input fails. A dependency failed. Steps: the failure of the input, with the build that had it.
  on-failed = floating "depends-on-builder-that-fails" ''echo "never seen: ${fails}" > "$out"'';

  # Its input is resolved, then fails. A dependency failed. Steps: the failure of the resolved input.
  on-failed-resolved = floating "depends-on-builder-that-fails-after-resolution" ''
    echo "never seen: ${fails-resolved}" > "$out"
  '';

  # Its builder succeeds, and reports failed tests: the build has an output, but counts as failed. Succeeded with
  # failure. Steps: built.
  failed-with-output = floating "success-with-failed-tests" ''
    mkdir -p "$out/nix-support"
    echo "2 of 3 tests passed" > "$out/report"
    : > "$out/nix-support/failed"
  '';

  # Has two files for download, three metrics, and a release name. Steps: built.
  products = floating "products-metrics-and-release-name" ''
    mkdir -p "$out/nix-support"
    echo "how to use it" > "$out/manual.txt"
    echo "the thing itself" > "$out/thing.bin"
    echo "doc manual $out/manual.txt
    file binary-dist $out/thing.bin" > "$out/nix-support/hydra-build-products"
    echo "size.thing 17 bytes
    duration.check 0.25 s
    lines.manual 1" > "$out/nix-support/hydra-metrics"
    echo "demo-1.0" > "$out/nix-support/hydra-release-name"
  '';

  # The first way to write the list. Steps of `list`: built; of `count` and `report`: resolved, built.
  words-first = words ''printf 'early\ncut\noff\n' > "$out"'';

  # The second way. `list` is another derivation and is built, but its output exists already. So both `count`s resolve
  # to the same derivation, and both `report`s too: here they succeed, cached. Steps of `list`: built; of `count` and
  # `report`: resolved, already there. (If this list is ready first, the jobs of the first way are cached instead.)
  words-second = words ''for word in early cut off; do echo "$word"; done > "$out"'';
}
