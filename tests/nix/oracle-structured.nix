# Structured attributes: placeholders in keys and values at any depth, and values of every type.
let
  lib = import ./oracle-lib.nix;
  inherit (lib) discard;
  inherit (builtins) fromJSON genList listToAttrs map placeholder toString;

  leaf = lib.floating "leaf" "echo leaf > $out; echo dev > $dev" { outputs = [ "out" "dev" ]; };
  flat = lib.floating "flat" "echo flat > $out" { outputHashMode = "flat"; };

  structured = make: name: attrs: make name "" ({
    __structuredAttrs = true;
    args = [ "-c" "printf hello > ${placeholder "out"}" ];
    inherit leaf;
  } // attrs);
  each = name: attrs: {
    "${name}" = structured lib.floating name attrs;
    "${name}Deferred" = structured lib.plain "${name}-deferred" attrs;
    "${name}Fixed" = structured lib.fixed "${name}-fixed" attrs;
    "${name}Impure" = structured lib.impure "${name}-impure" attrs;
  };
in
each "values" {
  list = [ "${flat}" 1 2.5 (-0.001) true false null [ ] { } [ [ "${leaf.dev}" ] ] { a = "${leaf.dev}"; } ];
  numbers = [ 0 (-1) 9223372036854775807 1.0 1.0e15 1.0e-7 123456789.123 1.0e300 (fromJSON "2.5e22") (fromJSON "-0.0") ];
  text = "quote \" backslash \\ newline \n return \r tab \t slash / é 😀";
  control = fromJSON "\"\\u0001\\u0008\\u000c\\u001f\\u007f\\u0080\\u2028\\uffff\"";
  big = builtins.concatStringsSep " " (genList toString 20000);
  self = placeholder "out";
}
// each "keys" {
  # Replacing the placeholders in these keys changes the order of the keys.
  zebra = listToAttrs (map (drv: { name = discard "${drv}"; value = drv; }) [ leaf leaf.dev flat ]) // {
    "/9" = 1; "/t" = 2; "/z" = 3; "A" = 4; "" = 5; "é" = 6; "😀" = 7; "\"" = 8;
  };
  "${discard "${flat}"}" = "at the top";
  "${discard "${leaf}"}x" = flat;
  inherit flat;
}
// each "checks" {
  outputChecks.out = {
    allowedReferences = [ leaf flat "out" ];
    disallowedRequisites = [ leaf.dev ];
    maxSize = 1000000;
    maxClosureSize = 1000000;
  };
  exportReferencesGraph = { graph = [ leaf flat ]; one = leaf.dev; };
  requiredSystemFeatures = [ ];
  allowSubstitutes = true;
}
// {
  outputs = structured lib.plain "outputs" {
    outputs = [ "out" "dev" "doc" ];
    args = [ "-c" "for i in ${placeholder "out"} ${placeholder "dev"} ${placeholder "doc"}; do printf hello > $i; done" ];
  };
  onStructured = structured lib.floating "on-structured" { input = structured lib.plain "middle" { value = "${flat}"; }; };
}
