# Placeholders in every place for text, with strings of all sorts around them, and names of all sorts.
let
  lib = import ./oracle-lib.nix;
  inherit (lib) floating plain fixed impure discard;
  inherit (builtins) concatStringsSep genList listToAttrs map placeholder stringLength substring toString;

  repeat = count: text: concatStringsSep "" (genList (_: text) count);
  characters = text: genList (index: substring index 1 text) (stringLength text);

  leaf = floating "leaf" "echo $out > $out; echo dev > $dev" { outputs = [ "out" "dev" ]; };
  flat = floating "flat+1.0_a?b=c" "echo flat > $out" { outputHashMode = "flat"; outputHashAlgo = "sha1"; };
  text = floating "text" "echo text > $out" { outputHashMode = "text"; };

  # Nix source cannot contain invalid UTF-8, so a file provides it.
  bytes = builtins.readFile ./not-utf8;
  strings = {
    quoting = "a\"b\\c\nd\te\r ${leaf}\${x} \$ \\n \\\" '' '\n\n\r\n\\";
    # Every control byte that a Nix string may contain.
    control = builtins.fromJSON ("\"" + concatStringsSep "" (map (n: "\\u00${n}") (
      map (digit: "0${digit}") (characters "123456789abcdef") ++ map (digit: "1${digit}") (characters "0123456789abcdef")
    )) + "\\u007f\\u0080\\u009f\"") + leaf;
    bytes = "${bytes}${leaf}${bytes}${leaf.dev}";
    astral = "é${leaf}\u2028 😀${leaf.dev}😀 𝄞 " + builtins.fromJSON "\"\\ud83d\\ude00\\uffff\\u2028\"";
    empty = "";
    big = leaf + repeat 50000 "ab" + leaf.dev + repeat 200 "/0123456789abcdfghijklmnpqrsvwxyz0123456789abcdfghijk" + flat;
    manyTimes = repeat 300 "${leaf}:${flat}/bin ";
    # Beginnings of placeholders, placeholders of no derivation, and two pieces that together look like a placeholder.
    almost = "${substring 0 30 (discard "${leaf}")}${leaf}/${leaf}${substring 1 52 (discard "${leaf}")}/0${leaf}"
      + placeholder "dev" + placeholder "nobody's";
    self = "${placeholder "out"} ${leaf} ${placeholder "out"}/lib";
  };
  nameOf = text: discard "${text}";
  names = {
    "${nameOf leaf}" = "a name that is a placeholder";
    "a${nameOf leaf}" = "a name that begins otherwise";
    "${nameOf leaf}/${nameOf flat}" = "two in one";
    "quote\"backslash\\newline\ntab\treturn\r${nameOf leaf.dev}" = "a name that is escaped";
    " " = "a space";
    "😀" = "a name beyond ASCII";
    "${bytes}${nameOf leaf}" = "a name that is not UTF-8";
    "~" = "sorts after the letters";
    "/" = "sorts before the placeholders";
  };

  # Derivations with equal outputs: their placeholders become one path.
  same = number: floating "same" "echo same > $out" { inherit number; };
  equal = make: name: script: number: make name script {
    "${nameOf (same number)}" = "the first ${same number}";
    "${nameOf (same (number + 1))}" = "the second ${same (number + 1)}";
    "and ${nameOf (same (number + 2))}" = "the third ${same (number + 2)}";
    "and ${nameOf (same (number + 3))}" = "the fourth ${same (number + 3)}";
    inherit number;
  };

  # A builder with a name that needs quotes.
  scripts = floating "scripts" ''
    PATH=/usr/bin:/bin; mkdir $out; cd $out
    printf '#!/bin/sh\n%s\n' 'echo "$1" > $out' > 'we"ird\name'; chmod +x 'we"ird\name'
  '' { };

  named = name: floating name "printf hello > $out" { input = leaf; };
  legalNames = [
    "0" "-" "_" "?" "=" "+" "-dash" ".hidden" "..a" "...-" "a.." "a.b.c" "a..b" "x.drv.y" "a-.drv-b" "drv" "a.drv."
    "+-._?=0123456789" "ABCDEFGHIJKLMNOPQRSTUVWXYZ" "abcdefghijklmnopqrstuvwxyz" "name-out" "out" "lib"
    (repeat 207 "n") (repeat 100 "?=")
  ];

  # The shell drops variables with invalid names, so the script contains the paths.
  manyOutputs = make: name: outputs: make name
    (concatStringsSep "; " (map (output: "echo ${leaf} > ${placeholder output}") outputs)) { inherit outputs; };
  legalOutputs = [ "lib" "out" "-" "." ".." "a.b" "x+y" "=" "?" "_" "0" "OUT" "a.drv.b" "out-out" "name" "system" ];
  allOf = drv: map (output: drv.${output}) drv.outputs;
in
lib.all {
  values = floating "values" "echo ${leaf} > $out" strings;
  valuesDeferred = plain "values-deferred" "echo ${leaf} > $out" strings;
  valuesFixed = fixed "values-fixed" "printf hello > $out" strings;
  valuesImpure = impure "values-impure" "printf hello > $out" strings;
  arguments = floating "arguments" "" { args = [ "-c" "echo $0 > $out" "" ] ++ builtins.attrValues strings; };

  inNames = floating "in-names" "echo ${flat} > $out" (names // { inputs = [ leaf leaf.dev flat ]; });
  inNamesDeferred = plain "in-names-deferred" "echo ${flat} > $out" (names // { inputs = [ leaf leaf.dev flat ]; });
  # If two names become equal, one of them stays; the order of the placeholders decides which one.
  equalNames = equal floating "equal-names" "echo $number > $out" 0;
  equalNamesDeferred = equal plain "equal-names-deferred" "echo $number > $out" 1;
  equalNamesFixed = equal fixed "equal-names-fixed" "printf hello > $out" 2;
  equalNamesImpure = equal impure "equal-names-impure" "echo $number > $out" 3;

  builder = floating "builder" "" { builder = "${scripts}/we\"ird\\name"; args = [ "${leaf}" "${flat}/x" ]; };
  builderDeferred = plain "builder-deferred" "" { builder = "${scripts}/we\"ird\\name"; args = [ "${leaf}" ]; };
  system = floating "system" "echo ${leaf} > $out" { requiredSystemFeatures = [ ]; preferLocalBuild = true; };

  names = map (name: floating "on-${builtins.hashString "md5" name}" "echo ${named name} > $out" { }) legalNames;
  ownNames = map named legalNames;
  ownNamesDeferred = map (name: plain name "echo ${leaf} > $out" { }) legalNames;

  outputsFloating = floating "on-outputs" "printf hello > $out"
    { inputs = allOf (manyOutputs floating "outputs" legalOutputs); };
  outputsDeferred = floating "on-deferred-outputs" "printf hello > $out"
    { inputs = allOf (manyOutputs plain "deferred-outputs" legalOutputs); };
  onlyLib = plain "on-only-lib" "echo ${manyOutputs floating "only-lib" [ "lib" ]} > $out" { };
  onlyMan = floating "on-only-man" "echo ${manyOutputs plain "only-man" [ "man" ]} > $out" { };

  passed = floating "passed" "echo ${leaf} > $out" {
    passAsFile = [ "big" "small" ];
    big = strings.big;
    small = "${flat} in a file";
  };
  checked = floating "checked" "echo ${leaf} > $out" {
    allowedReferences = [ leaf "out" ];
    allowedRequisites = [ leaf leaf.dev ];
    disallowedReferences = [ flat text ];
    disallowedRequisites = [ flat ];
    exportReferencesGraph = [ "graph" leaf "other" flat ];
  };
  checkedDeferred = plain "checked-deferred" "echo ${leaf} > $out" {
    allowedReferences = [ leaf "out" ];
    exportReferencesGraph = [ "graph" leaf.dev ];
  };
}
