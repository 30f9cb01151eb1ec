# Derivations with many kinds of inputs: deep chains, many inputs, one of several outputs, inputs that become one path.
let
  lib = import ./oracle-lib.nix;
  inherit (lib) floating plain fixed impure;
  inherit (builtins) foldl' genList head map toString;

  leaf = floating "leaf" "echo $out > $out; echo dev > $dev" { outputs = [ "out" "dev" ]; };
  number = make: n: make "input-${toString n}" "echo ${toString n} > $out" { };
  numbers = genList (number floating) 500;
  first = count: genList (index: builtins.elemAt numbers index) count;
in
lib.all rec {
  deferred = plain "deferred" "echo ${leaf} > $out; echo ${leaf.dev} > $doc" { outputs = [ "out" "doc" ]; };
  deferredOnDeferred = plain "deferred-on-deferred" "echo ${deferred} ${deferred.doc} > $man" { outputs = [ "man" ]; };
  deferredThrice = plain "deferred-thrice" "echo ${deferredOnDeferred} ${leaf} > $out" { };
  onDeferred = floating "on-deferred" "echo ${deferredOnDeferred} ${deferred} > $out" { };
  deferredAgain = plain "deferred-again" "echo ${onDeferred} ${deferredThrice} > $out" { };
  fixedOnDeferred = fixed "fixed-on-deferred" "echo ${deferredAgain} > /dev/null; printf hello > $out" { };
  onFixed = floating "on-fixed" "echo ${fixedOnDeferred} > $out" { };
  # A fixed output has a known path: this derivation is input-addressed, but its input is resolved all the same.
  staticOnFixed = plain "static-on-fixed" "echo ${fixedOnDeferred} > $out" { };
  onStatic = floating "on-static" "echo ${staticOnFixed} ${leaf} ${./oracle-lib.nix} > $out" { };
  onImpure = impure "on-impure" "echo ${impure "impure" "echo ${leaf} > $out" { }} > $out" { };

  chain = foldl' (before: n: floating "chain-${toString n}" "echo ${before} > $out" { }) leaf (genList (n: n) 20);
  mixedChain = foldl' (before: n: (if n / 2 * 2 == n then floating else plain)
    "mixed-${toString n}" "echo ${before} > $out" { }) leaf (genList (n: n) 10);

  none = floating "none" "echo none > $out" { };
  one = floating "wide-1" "printf hello > $out" { inputs = first 1; };
  sixty = floating "wide-60" "printf hello > $out" { inputs = first 60; };
  sixtyDeferred = plain "wide-60-deferred" "printf hello > $out" { inputs = first 60; };
  fiveHundred = floating "wide-500" "printf hello > $out" { inputs = numbers; };
  fiveHundredDeferred = plain "wide-500-deferred" "printf hello > $out" { inputs = numbers; };

  # Derivations with equal outputs: their dependents resolve to one derivation.
  same = genList (n: floating "same" "echo same > $out" { number = n; }) 4;
  onSame = map (input: floating "on-same" "echo ${input} > $out" { }) same;
  deferredOnSame = map (input: plain "deferred-on-same" "echo ${input} > $out" { }) same;
  # Two inputs of one derivation whose outputs are one path.
  onAllSame = floating "on-all-same" "echo ${toString same} > $out" { };

  # The .drv file as a source together with its output, and the output alone.
  withDrv = floating "with-drv" "echo ${leaf.drvPath} > $out" { inherit leaf; };
  withSource = floating "with-source" "echo ${builtins.toFile "source" "text"} ${leaf} > $out" { };
}
