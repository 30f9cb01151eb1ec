"""Derivations that Nix resolved and built in a store without a database, for tests of `resolve`."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from hydra_resolver.nix.store import Store

from .farm import Farm

CASES = """
let
  plain = name: script: attrs: derivation ({
    inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" script ]; PATH = "/bin:/usr/bin";
  } // attrs);
  ca = { __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; };
  floating = name: script: attrs: plain name script (ca // attrs);
  keyOf = drv: builtins.unsafeDiscardStringContext "${drv}";
  fileOf = drv: builtins.unsafeDiscardOutputDependency drv.drvPath;
in
rec {
  leaf = floating "leaf" "echo out > $out; echo dev > $dev" { outputs = [ "out" "dev" ]; };
  equals = floating "a?b=c" "echo equals > $out" { };
  floating-one = floating "floating" "cat ${leaf} ${leaf.dev} ${equals} > $out" {
    twice = "${leaf} ${equals} ${leaf}/bin";
    control = "\\t${leaf}\\n";
    self = builtins.placeholder "out";
    "name-${keyOf equals}" = "x";
  };
  builder = floating "builder" "echo '#!/bin/sh' > $out; echo 'echo built > $out' >> $out; chmod +x $out" { };
  by-builder = floating "by-builder" "" { builder = "${builder}"; args = [ ]; };
  deferred = plain "deferred" "echo ${leaf} > $out; echo ${leaf} > $doc" { outputs = [ "doc" "out" ]; };
  fixed = plain "fixed" "echo ${leaf} > /dev/null; printf hello > $out" {
    outputHash = "sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
  };
  structured = floating "structured" ". $NIX_ATTRS_SH_FILE; read x < ${leaf}; echo $x > \\${outputs[out]}" {
    __structuredAttrs = true; builder = "/bin/bash"; numbers = [ 1 2.5 (-0.001) ]; of."${keyOf leaf.dev}" = "é";
  };
  static = plain "static" "echo static > $out" { };
  on-static = floating "on-static" "echo ${static} ${leaf} > $out" { };
  static-on-static = plain "static-on-static" "echo ${static} > $out" { };
  producer = floating "leaf.drv" "cp ${fileOf leaf} $out" { outputHashMode = "text"; };
  dynamic = floating "dynamic" "echo ${builtins.outputOf producer.outPath "out"} ${leaf} > $out" { };
}
"""


@dataclass(frozen=True)
class Cases:
    """The cases by name: the paths of `.drv` files, of outputs (`name.output`), and of Nix's resolved derivations."""

    farm: Farm
    drvs: dict[str, str]
    outputs: dict[str, str]
    resolved: dict[str, str]

    def resolve(self, *words: str | Path, status: int = 0, warns: bool = False) -> subprocess.CompletedProcess[str]:
        """Run `resolve`; check the exit status, and that stderr is empty unless the status is not 0 or it `warns`."""
        done = self.farm.command("resolve", *words, check=False)
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        assert (done.stderr == "") == (status == 0 and not warns)
        return done

    def refused(self, *words: str | Path) -> str:
        """Run `resolve` with an error that stops it; return the error, one line."""
        done = self.resolve(*words, status=2)
        assert done.stdout == ""
        assert done.stderr.startswith("Error: ")
        assert done.stderr.count("\n") == 1
        return done.stderr


def build_cases(state: Path) -> Cases:
    """Build all cases in the embedded store of a state directory, by Nix alone."""
    farm = Farm(state, conninfo="")
    farm.store.prepare()
    file = state / "cases.nix"
    file.write_text(CASES)
    store = Store(environment=farm.store.child_environment())
    names = re.findall(r"^  ([\w-]+) = (?:floating|plain) \"", CASES, re.MULTILINE)
    if not store.nix_version.resolves_any_kind_with_dynamic_inputs:
        names.remove("dynamic")
    attributes = [word for name in names for word in ("-A", name)]
    instantiated = farm.nix("nix-instantiate", file, *attributes).split()
    drvs = {name: path.partition("!")[0] for name, path in zip(names, instantiated, strict=True)}
    built = subprocess.run(
        ["nix-store", "--realise", "-vvvvv", *drvs.values()], env=store.env, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr[-2000:]
    resolutions = dict(re.findall(r"resolved derivation: '(\S+)' -> '(\S+?)'", built.stderr))
    with store.connect() as client:
        maps = {name: client.query_derivation_output_map(store.base_name(drv)) for name, drv in drvs.items()}
    outputs = {
        f"{name}.{output}": store.full_path(path)
        for name, paths in maps.items()
        for output, path in paths.items()
        if path is not None
    }
    resolved = {name: resolutions[drv] for name, drv in drvs.items() if drv in resolutions}
    return Cases(farm, drvs, outputs, resolved)
