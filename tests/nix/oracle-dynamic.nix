# Dynamic derivations: they depend on outputs of derivations that builders write.
let
  lib = import ./oracle-lib.nix;
  inherit (lib) base floating plain fixed impure;
  inherit (builtins) outputOf placeholder unsafeDiscardOutputDependency;

  leaf = floating "leaf" "echo leaf > $out" { };
  # A derivation that writes the .drv file of another derivation, and has the name of that file.
  producer = inner: attrs: floating "${inner.name}.drv"
    "PATH=/usr/bin:/bin cp ${unsafeDiscardOutputDependency inner.drvPath} $out" ({ outputHashMode = "text"; } // attrs);
  of = drv: outputOf drv.outPath;

  innerFloating = floating "inner" "echo ${leaf} > $out; echo dev > $dev; echo lib > $lib" { outputs = [ "out" "dev" "lib" ]; };
  innerDeferred = plain "inner-deferred" "echo ${leaf} > $out; echo doc > $doc" { outputs = [ "doc" "out" ]; };
  innerStatic = plain "inner-static" "echo static > $out" { };
  innerFixed = fixed "inner-fixed" "printf hello > $out" { input = leaf; };
  one = producer innerFloating { };
  oneDeferred = producer innerDeferred { };
  oneStatic = producer innerStatic { };
  oneFixed = producer innerFixed { };
  # Two levels: the derivation that this one writes writes the .drv file of the innermost derivation.
  two = producer one { };
  three = producer two { };
  # This derivation is resolved before it writes the file.
  oneResolved = producer innerDeferred { input = leaf; };
  twoResolved = producer oneResolved { input = oneResolved; };
  # One derivation writes two files; its outputs have such names that the files have names of derivations.
  several = floating "several" ''
    export PATH=/usr/bin:/bin
    cp ${unsafeDiscardOutputDependency innerFloating.drvPath} ${placeholder "first.drv"}
    cp ${unsafeDiscardOutputDependency innerDeferred.drvPath} ${placeholder "second.drv"}
  '' { outputs = [ "first.drv" "second.drv" ]; outputHashMode = "text"; };
  second = outputOf several."second.drv".outPath;
  writtenSecond = outputOf (of (producer several { }) "second.drv");

  consumers = name: inputs: {
    "${name}" = floating name "printf hello > $out" { inherit inputs; };
    "${name}Deferred" = plain "${name}-deferred" "printf hello > $out" { inherit inputs leaf; };
    "${name}Fixed" = fixed "${name}-fixed" "printf hello > $out" { inherit inputs; };
    "${name}Impure" = impure "${name}-impure" "printf hello > $out" { inherit inputs; };
  };
in
consumers "simple" [ (of one "out") ]
// consumers "several" [ (of one "out") (of one "dev") (of one "lib") (of oneDeferred "doc") (of oneStatic "out") (of oneFixed "out") ]
// consumers "both" [ one (of one "dev") two (outputOf (of two "out") "out") (of two "out") ]
// consumers "two" [ (outputOf (of two "out") "out") (outputOf (of two "out") "dev") ]
// consumers "three" [ (outputOf (outputOf (of three "out") "out") "lib") leaf ]
// consumers "first-link" [ (second "doc") (second "out") (outputOf several."first.drv".outPath "lib") ]
// consumers "middle-link" [ (writtenSecond "doc") (outputOf (of (producer several { }) "first.drv") "out") ]
// consumers "resolved-producer" [ oneResolved (of oneResolved "doc") (outputOf (of twoResolved "out") "out") ]
// {
  onDynamic = floating "on-dynamic" "echo ${plain "middle" "echo ${of one "out"} > $out" { }} > $out" { };
  everywhere = floating "everywhere" "echo ${of one "out"} > $out" {
    args = [ "-c" "echo ${of one "dev"} > $out" (outputOf (of two "out") "lib") ];
    "${lib.discard (of one "lib")}" = of one "lib";
    value = "${leaf}${of one "out"}${of one "dev"}";
  };
  structured = floating "structured" "" {
    __structuredAttrs = true;
    args = [ "-c" "printf hello > ${builtins.placeholder "out"}" ];
    "${lib.discard (of one "lib")}" = of one "lib";
    list = [ (of one "out") { "${lib.discard (of one "dev")}" = of one "dev"; } ];
  };
}
