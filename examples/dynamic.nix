# Derivations that builders write, and derivations that need their outputs: dynamic derivations.
#
# Usually Nix knows all derivations before the first build. Here builders write some of them:
#
#   * A *producer* is a derivation whose output is itself a `.drv` file. Its output is of the kind `text`, and its name ends in
#     `.drv`. The rest of the name is the name of the written derivation.
#   * `builtins.outputOf producer.outPath "out"` stands for the output `out` of the derivation that the producer will write. A
#     derivation that uses it, a *wrapper* below, waits for a chain: first for the producer's output, which is then loaded,
#     resolved and built like any other derivation; then for the output of the written derivation. Nix writes the chain as
#     `producer.drv^out^out`, and chains can be longer.
#
# Each comment lists the steps of a build, in the words of demo.nix.
let
  system = builtins.currentSystem;

  shell = fields: script: derivation ({
    inherit system;
    builder = "/bin/sh";
    args = [ "-euc" script ];
    PATH = "/bin:/usr/bin";
    __contentAddressed = true;
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
  } // fields);
  floating = name: shell { inherit name; };

  # A producer, by the shell script that writes its `.drv` file to "$out".
  producer = name: shell { name = "${name}.drv"; outputHashMode = "text"; };

  # The simplest producer: it copies a `.drv` file that the evaluator has written. The path of that file is only a source of
  # the producer: without unsafeDiscardOutputDependency, the derivation in the file would have to be built first.
  copies = drv: producer drv.name ''cp ${builtins.unsafeDiscardOutputDependency drv.drvPath} "$out"'';

  # The output of the derivation that the producer writes.
  outputOf = drv: builtins.outputOf drv.outPath "out";

  greeting = copies (floating "greeting" ''echo hello > "$out"'');
in
{
  # One producer, one written derivation, one wrapper. Steps: the producer built; the written derivation built; the wrapper
  # resolved, with the path at the end of the chain filled in, and built.
  wrapper = floating "wrapper" ''read -r line < ${outputOf greeting}; echo "$line, world" > "$out"'';

  # Uses the text of the written `.drv` file, and the output of that derivation. Steps: the wrapper resolved, built. Of this
  # build and the build above, the first one has the steps of the producer and of the written derivation.
  file-and-derivation = floating "file-and-derivation" ''
    IFS= read -r text < ${greeting} || :
    read -r line < ${outputOf greeting}
    echo "$line was written with ''${#text} bytes" > "$out"
  '';

  # A chain of three: a producer writes a producer, which writes the wanted derivation. Steps: each built, in this order; the
  # wrapper resolved, built.
  two-levels =
    let deep = copies (copies (floating "deep" ''echo deep > "$out"''));
    in floating "two-levels" ''read -r line < ${builtins.outputOf (outputOf deep) "out"}; echo "very $line" > "$out"'';

  # The written derivation depends on a built output: on the number of words in a list, which no evaluator could know. The
  # producer has a floating input, so it is resolved itself. Steps: the list built; the producer resolved, built; the written
  # derivation built; the wrapper resolved, built.
  counted =
    let
      list = floating "list" ''printf 'any\nnumber\nof\nwords\n' > "$out"'';
      # In a `.drv` this stands for the path of its own output. It is in two halves: as one text, Nix would replace it by the
      # path of the producer's output.
      own = builtins.placeholder "out";
      count = producer "count" ''
        count=0
        while read -r word; do count=$((count + 1)); done < ${list}
        printf '%s' 'Derive([("out","","r:sha256","")],[],[],"${system}","/bin/sh",["-c","echo ' \
          "$count" ' words > $out"],[("out","${builtins.substring 0 9 own}' '${builtins.substring 9 99 own}")])' > "$out"
      '';
    in floating "counted" ''read -r line < ${outputOf count}; echo "The list has $line." > "$out"'';

  # The written derivation fails. A dependency failed. Steps: the producer built; the written derivation failed.
  on-written-failure = floating "on-written-failure" ''
    echo "never seen: ${outputOf (copies (floating "fails" ''echo "this builder fails on purpose" >&2; exit 1''))}"
  '';
}
