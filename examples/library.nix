# A small C library and two programs that use it, content-addressed. Needs a C compiler on this machine: `cc` with
# the headers of the C library, in /usr/bin (on Debian the packages gcc and libc6-dev).
#
# The comment is in the source of the library, but not in its compiled output. So with another
#
#     --argstr comment "words of your choice"
#
# the library is another derivation, and is built again. Its output is the same, bit for bit. So both programs resolve to
# the same derivations as before, and are not built again.
{ comment ? "Converts temperatures." }:
let
  # No build id and no symbol table: the symbol table would name the source file, whose path depends on the comment.
  flags = "-O2 -Wall -Werror -Wl,--build-id=none -s";

  compile = name: fields: script: derivation ({
    inherit name flags;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-euc" ''
      if ! command -v cc > /dev/null; then
        echo "there is no C compiler: install one (on Debian: apt-get install gcc libc6-dev)" >&2
        exit 1
      fi
      ${script}
    '' ];
    PATH = "/usr/bin:/bin";
    __contentAddressed = true;
    outputHashMode = "recursive";
    outputHashAlgo = "sha256";
  } // fields);

  program = name: source: compile name { inherit library source; } ''
    mkdir -p "$out/bin"
    cc $flags -I "$library/include" -o "$out/bin/$name" "$source" \
      -L "$library/lib" -ltemperature -Wl,-rpath,"$library/lib"
    "$out/bin/$name" 100
  '';

  # Built with every new comment.
  library = compile "temperature"
    {
      header = ./library/temperature.h;
      source = builtins.toFile "temperature.c" (
        builtins.replaceStrings [ "@comment@" ] [ comment ] (builtins.readFile ./library/temperature.c)
      );
    }
    ''
      mkdir -p "$out/lib" "$out/include"
      read -r about < "$source"
      echo "compiling: $about"
      cat "$header" > "$out/include/temperature.h"
      cc $flags -I "$out/include" -fPIC -shared -Wl,-soname,libtemperature.so -o "$out/lib/libtemperature.so" "$source"
    '';
in
{
  inherit library;

  # Built once, whatever the comment.
  to-fahrenheit = program "to-fahrenheit" ./library/to-fahrenheit.c;
  to-kelvin = program "to-kelvin" ./library/to-kelvin.c;
}
