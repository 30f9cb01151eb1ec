# Derivations that Nix has to resolve. test_nix_oracle.py lets Nix build them and compares each resolution with ours.
let
  base = name: script: attrs: {
    inherit name;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" script ];
  } // attrs;
  plain = name: script: attrs: derivation (base name script attrs);
  floating = name: script: attrs: plain name script ({
    __contentAddressed = true;
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
  } // attrs);
  chmod = "PATH=/usr/bin:/bin chmod +x";
  discard = builtins.unsafeDiscardStringContext;
in
rec {
  leaf = floating "leaf" "echo $out > $out; echo dev > $dev" { outputs = [ "out" "dev" ]; };
  flat = floating "flat+1.0_a?b=c" "echo flat > $out" { outputHashMode = "flat"; outputHashAlgo = "sha1"; };
  onlyLib = floating "only-lib" "echo lib ${leaf.dev} > $lib" { outputs = [ "lib" ]; };
  text = floating "text" "echo text > $out" { outputHashMode = "text"; };

  onFloating = floating "on-floating" "echo ${leaf} ${leaf.dev} ${flat} ${onlyLib} ${text} > $out" {
    twice = "${leaf}${leaf}/bin:${flat}";
    quoting = "a\"b\\c\nd\te\r ${leaf}\${x} \$";
    control = builtins.fromJSON "\"\\u0001\\u007f\\u00e9\\ud83d\\ude00\"";
    self = "${builtins.placeholder "out"} ${leaf}";
    "${discard "name-${leaf}"}" = "a placeholder in a name";
  };
  chain = floating "chain.drv.x" "echo ${onFloating} > $out" { };
  builder = floating "builder" "" { builder = "${script}"; args = [ "${leaf}" "${flat}/x" ]; };
  script = floating "script" "{ echo '#!/bin/sh'; echo 'echo built > $out'; } > $out; ${chmod} $out" { };

  deferred = plain "deferred" "echo ${leaf} > $out; echo ${flat} > $doc" { outputs = [ "out" "doc" ]; };
  deferredOnDeferred = plain "deferred-on-deferred" "echo ${deferred} ${deferred.doc} > $man" { outputs = [ "man" ]; };
  onDeferred = floating "on-deferred" "echo ${deferredOnDeferred.man} ${deferred} > $out" { };
  static = plain "static" "echo static > $out" { };
  onStatic = floating "on-static" "echo ${static} ${leaf} ${./oracle.nix} > $out" { };

  fixed = plain "fixed" "echo ${leaf} > /dev/null; printf hello > $out" {
    outputHash = "sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
  };
  fixedRecursive = plain "fixed-recursive" "echo ${flat} > /dev/null; printf hello > $out" {
    outputHashMode = "recursive";
    outputHash = "sha256-CkMIecJm+LV/QJKg+TXPP6zUi7zN5XYNR0jKQFFx6Wk=";
  };
  onFixed = floating "on-fixed" "echo ${fixed} > $out" { };

  # Two derivations with equal outputs, and what depends on them resolves to one derivation.
  one = floating "same" "echo same > $out" { number = 1; };
  two = floating "same" "echo same > $out" { number = 2; };
  onOne = floating "on-same" "echo ${one} > $out" { };
  onTwo = floating "on-same" "echo ${two} > $out" { };

  structured = floating "structured" ". ./.attrs.sh 2>/dev/null || . $NIX_ATTRS_SH_FILE; echo ${leaf} > \${outputs[out]}" {
    __structuredAttrs = true;
    builder = "/bin/bash";
    list = [ "${flat}" 1 2.5 (-0.001) true null { a = "${leaf.dev}"; } ];
    zebra."${discard "${leaf}"}" = "a key that moves";
    zebra."/9" = "another key";
    text = "quote \" backslash \\ newline \n slash / é 😀";
  };
  structuredDeferred = plain "structured-deferred" "printf x > $out" {
    __structuredAttrs = true;
    builder = "/bin/bash";
    args = [ "-c" ". $NIX_ATTRS_SH_FILE; echo ${leaf} > \${outputs[out]}" ];
    value = "${flat}";
  };

  passed = floating "passed" "echo ${leaf} > $out" { passAsFile = [ "big" ]; big = "${flat} in a file"; };
  checked = floating "checked" "echo ${leaf} > $out" {
    allowedReferences = [ leaf "out" ];
    disallowedRequisites = [ flat ];
    exportReferencesGraph = [ "graph" leaf ];
  };
  many = floating "many" "echo many > $out" {
    inputs = map (n: floating "input-${toString n}" "echo ${toString n} > $out" { }) (builtins.genList (n: n) 30);
  };

  # A derivation that builds a derivation, and what depends on that one's output.
  inner = floating "inner" "echo inner > $out" { };
  producer = floating "inner.drv" "PATH=/usr/bin:/bin cp ${builtins.unsafeDiscardOutputDependency inner.drvPath} $out" {
    outputHashMode = "text";
  };
  dynamic = floating "dynamic" "echo ${builtins.outputOf producer.outPath "out"} ${leaf} > $out" { };
  dynamicDeferred = plain "dynamic-deferred" "echo ${builtins.outputOf producer.outPath "out"} > $out" { };
}
