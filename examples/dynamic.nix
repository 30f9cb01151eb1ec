# Derivations that are written by builders, and derivations that need what those make: dynamic derivations.
#
# Usually Nix knows all derivations before anything is built. Here some come to be while others are built:
#
#   * A *producer* is a derivation whose output is itself a `.drv` file: what it builds is an instruction to build. Its output
#     is of the kind `text`, and its name ends in `.drv`. The rest of the name is that of the derivation it writes.
#   * `builtins.outputOf producer.outPath "out"` stands for the output `out` of the derivation that the producer will write.
#     What uses it, a *wrapper* below, waits for a chain: first for the producer's output, which then is a derivation and is
#     loaded, resolved and built like any other; then for the output of that one. Nix writes it as
#     `producer.drv^out^out`, and chains can be longer.
#
# Each comment says what the steps of a build are, in the words of demo.nix.
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

  # The simplest producer: it copies a `.drv` file that the evaluator has written. The path of that file is a mere source of
  # it: without unsafeDiscardOutputDependency, all that the file says would have to be built first.
  copies = drv: producer drv.name ''cp ${builtins.unsafeDiscardOutputDependency drv.drvPath} "$out"'';

  # What the derivation makes that the producer writes.
  outputOf = drv: builtins.outputOf drv.outPath "out";

  greeting = copies (floating "greeting" ''echo hello > "$out"'');
in
{
  # One producer, one derivation that it writes, one wrapper. Steps: the producer built; what it wrote built; the wrapper
  # resolved, with the path at the end of the chain filled in; and built.
  wrapper = floating "wrapper" ''read -r line < ${outputOf greeting}; echo "$line, world" > "$out"'';

  # The producer as a file (the text of the `.drv`), and as what that file makes. Steps: wrapper, resolved, built; the others
  # are known from the build above, or the other way round: who is first has them.
  file-and-derivation = floating "file-and-derivation" ''
    IFS= read -r text < ${greeting} || :
    read -r line < ${outputOf greeting}
    echo "$line was written with ''${#text} bytes" > "$out"
  '';

  # A chain of three: a producer writes a producer, which writes what is wanted. Steps: each built, in this order; the wrapper
  # resolved, built.
  two-levels =
    let deep = copies (copies (floating "deep" ''echo deep > "$out"''));
    in floating "two-levels" ''read -r line < ${builtins.outputOf (outputOf deep) "out"}; echo "very $line" > "$out"'';

  # What is written depends on what was built: on the number of words in a list, which no evaluator could know. The producer
  # has a floating input, so it is resolved itself. Steps: the list built; the producer resolved, built; what it wrote built;
  # the wrapper resolved, built.
  counted =
    let
      list = floating "list" ''printf 'any\nnumber\nof\nwords\n' > "$out"'';
      # In a `.drv` this stands for the path of its own output. In two halves, since whole it would mean the producer's.
      own = builtins.placeholder "out";
      count = producer "count" ''
        count=0
        while read -r word; do count=$((count + 1)); done < ${list}
        printf '%s' 'Derive([("out","","r:sha256","")],[],[],"${system}","/bin/sh",["-c","echo ' \
          "$count" ' words > $out"],[("out","${builtins.substring 0 9 own}' '${builtins.substring 9 99 own}")])' > "$out"
      '';
    in floating "counted" ''read -r line < ${outputOf count}; echo "The list has $line." > "$out"'';

  # What is written fails. A dependency failed. Steps: the producer built; what it wrote failed.
  on-written-failure = floating "on-written-failure" ''
    echo "never seen: ${outputOf (copies (floating "fails" ''echo "this builder fails on purpose" >&2; exit 1''))}"
  '';
}
