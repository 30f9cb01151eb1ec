# The command hydra-resolver, for nixpkgs: pkgs.callPackage ./nix/package.nix { }
{
  lib,
  nix,
  python3Packages,
}:

let
  project = (lib.importTOML ../pyproject.toml).project;
in
python3Packages.buildPythonApplication {
  pname = project.name;
  inherit (project) version;
  pyproject = true;

  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../README.md
      ../pyproject.toml
      ../sql
      ../worker
    ];
  };

  build-system = [ python3Packages.hatchling ];

  dependencies = with python3Packages; [
    click
    psycopg
    rich
  ];

  # The operator's own Nix is used if there is one on PATH.
  makeWrapperArgs = [
    "--suffix"
    "PATH"
    ":"
    (lib.makeBinPath [ nix ])
  ];

  # The tests start a PostgreSQL and a Nix store of their own: ./dev test runs them.
  doCheck = false;
  pythonImportsCheck = [ "hydra_resolver.cli" ];

  meta = {
    inherit (project) description;
    mainProgram = "hydra-resolver";
    platforms = lib.platforms.linux;
  };
}
