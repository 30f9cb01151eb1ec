# Evaluates the NixOS module and the package with a stand-in for nixpkgs, which has only the parts that they use. Options
# have their defaults, unless `settings` overrides them. `hydra`: whether services.hydra is enabled; `dev`: whether the
# services of Hydra's own modules are enabled as well.
{ hydra, dev ? false, options ? { }, settings ? { } }:
let
  optional = condition: value: if condition then [ value ] else [ ];
  lib = {
    inherit optional;
    mkOption = option: option // { _type = "option"; };
    mkEnableOption = name: lib.mkOption { default = false; type = lib.types.bool; description = "Whether to enable ${name}."; };
    mkIf = condition: content: if condition then content else { };
    mkForce = value: value;
    literalExpression = text: { inherit text; };
    filterAttrs = keep: set:
      removeAttrs set (builtins.filter (name: !keep name set.${name}) (builtins.attrNames set));
    recursiveUpdate = left: right:
      left // builtins.mapAttrs
        (name: value:
          if builtins.isAttrs value && builtins.isAttrs (left.${name} or null) then lib.recursiveUpdate left.${name} value else value)
        right;
    getExe = package: "${package.outPath}/bin/${package.meta.mainProgram}";
    makeBinPath = packages: builtins.concatStringsSep ":" (map (package: "${package.outPath}/bin") packages);
    importTOML = file: builtins.fromTOML (builtins.readFile file);
    fileset = { toSource = { root, fileset }: assert builtins.all builtins.pathExists fileset; root; unions = files: files; };
    platforms.linux = [ "x86_64-linux" ];
    types = {
      bool = "bool"; str = "str"; package = "package";
      nullOr = type: "null or ${type}";
      submodule = module: module // { _type = "submodule"; };
    };
  };
  package = name: { inherit name; outPath = "/packages/${name}"; meta.mainProgram = name; };
  pkgs = {
    formats.toml = { }: { type = "toml"; generate = name: value: { inherit name value; }; };
    callPackage = file: arguments: import file ({ inherit lib; nix = package "nix"; python3Packages = python; } // arguments);
  };
  python = {
    buildPythonApplication = attributes: attributes // { outPath = "/packages/${attributes.pname}"; };
  } // builtins.listToAttrs (map (name: { inherit name; value = package name; }) [ "click" "hatchling" "psycopg" "rich" ]);

  defaults = set: builtins.mapAttrs
    (name: option:
      assert option._type == "option" && option ? description && option ? type;
      if option.type._type or "" == "submodule" then defaults option.type.options // settings else option.default)
    set;
  config = {
    nix = { package = package "nix"; settings.experimental-features = [ "nix-command" "ca-derivations" ]; };
    services = {
      hydra-resolver = defaults module.options.services.hydra-resolver // { enable = true; } // options;
    } // (if hydra then { hydra = { enable = true; dbi = "dbi:Pg:dbname=hydra;user=hydra;"; }; } else { })
      // (if dev then {
        hydra-dev = { enable = true; dbUrl = "postgres://hydra@%2Frun%2Fpostgresql:5432/hydra"; };
        hydra-queue-runner-dev.enable = true;
      } else { });
  };
  module = import ../nix/module.nix { inherit config lib pkgs; };
in
{
  inherit (module.config) assertions;
  inherit (module.config.systemd) services sockets;
  package = builtins.removeAttrs config.services.hydra-resolver.package [ "src" "outPath" "dependencies" "build-system" ] // {
    dependencies = map (dependency: dependency.name) config.services.hydra-resolver.package.dependencies;
  };
}
