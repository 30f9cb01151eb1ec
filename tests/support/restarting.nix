# A small job of every kind: the tests compare the results after a crash with those without one.
let
  shell = fields: script: derivation ({
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-euc" script ];
    PATH = "/bin:/usr/bin";
  } // fields);
  floatingOutputs = name: outputs: shell {
    inherit name outputs;
    __contentAddressed = true;
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
  };
  floating = name: floatingOutputs name [ "out" ];
  fixed = name: content: shell {
    inherit name;
    outputHashMode = "flat";
    outputHashAlgo = "sha256";
    outputHash = builtins.hashString "sha256" content;
  };
  length = list: floating "length" ''
    length=0
    while read -r word; do length=$((length + 1)); done < ${list}
    echo "$length" > "$out"
  '';

  # These are built and recorded in advance; then their outputs are deleted without the database.
  gone = floating "gone" ''echo gone > "$out"'';
  gone-addressed = shell { name = "gone-addressed"; } ''echo "gone, too" > "$out"'';
in
{
  before = { inherit gone gone-addressed; };

  jobs = rec {
    first = floating "first" ''echo 1 > "$out"'';
    left = floating "left" ''{ read -r n; echo "$n left" > "$out"; } < ${first}'';
    right = floating "right" ''{ read -r n; echo "$n right" > "$out"; } < ${first}'';
    top = floating "top" ''echo "${left} ${right}" > "$out"'';
    the-same-top = top;

    deferred = shell { name = "deferred"; } ''{ read -r n; echo "$n deferred" > "$out"; } < ${first}'';
    fixed-on-floating = fixed "fixed-on-floating" "promised\n" ''read -r n < ${first}; echo promised > "$out"'';

    # Two derivations with one resolution. The second list waits for the first length, which is realised by then.
    first-length = length (floating "list" ''printf 'a\nb\n' > "$out"'');
    second-length = length (floating "list" ''read -r n < ${first-length}; printf 'a\nb\n' > "$out"'');
    # Here neither waits for the other.
    third-length = length (floating "list" ''printf 'a\nb\nc\n' > "$out"'');
    fourth-length = length (floating "list" ''printf 'a\n' > "$out"; printf 'b\nc\n' >> "$out"'');

    outputs = floatingOutputs "outputs" [ "out" "dev" ] ''echo out > "$out"; echo dev > "$dev"'';
    uses-dev = floating "uses-dev" ''echo "${outputs.dev}" > "$out"'';

    fails = floating "fails" "exit 1";
    on-failed = floating "on-failed" ''echo "${fails}" > "$out"'';

    addressed = shell { name = "addressed"; } ''echo addressed > "$out"'';
    on-addressed = shell { name = "on-addressed"; } ''echo "${addressed}" > "$out"'';

    # A derivation that a builder writes, and a dependent of it.
    wrapper = floating "wrapper" ''read -r n < ${builtins.outputOf producer.outPath "out"}; echo "$n" > "$out"'';
    producer = shell { name = "written.drv"; __contentAddressed = true; outputHashMode = "text"; outputHashAlgo = "sha256"; } ''
      read -r n < ${first}
      cp ${builtins.unsafeDiscardOutputDependency (floating "written" ''echo written > "$out"'').drvPath} "$out"
    '';

    on-gone = floating "on-gone" ''echo "${gone}" > "$out"'';
    on-gone-addressed = shell { name = "on-gone-addressed"; } ''echo "${gone-addressed}" > "$out"'';
  };
}
