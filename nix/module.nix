# NixOS: a hydra-resolver worker in the place of Hydra's queue runner.
#
#   imports = [ ./hydra-resolver/nix/module.nix ];
#   services.hydra-resolver.enable = true;
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib) mkOption types;

  cfg = config.services.hydra-resolver;
  # The modules of nixpkgs, and the modules of Hydra itself.
  off = {
    enable = false;
  };
  hydra = config.services.hydra or off;
  hydraDev = config.services.hydra-dev or off;
  queueRunnerDev = config.services.hydra-queue-runner-dev or off;
  replaced = lib.mkIf cfg.replaceQueueRunner { enable = lib.mkForce false; };
  replacedDev = lib.mkIf (cfg.replaceQueueRunner && queueRunnerDev.enable) {
    enable = lib.mkForce false;
  };

  toml = pkgs.formats.toml { };
  settingsFile = toml.generate "hydra-resolver.toml" (lib.filterAttrs (_: value: value != null) cfg.settings);

  common = {
    path = [ config.nix.package ];
    environment.HYDRA_RESOLVER_CONFIG = settingsFile;
    serviceConfig = {
      User = cfg.user;
      Group = cfg.group;
      EnvironmentFile = lib.optional (cfg.environmentFile != null) cfg.environmentFile;
      StateDirectory = "hydra-resolver";
      StateDirectoryMode = "0750";
      UMask = "0027";
      NoNewPrivileges = true;
      PrivateTmp = true;
      ProtectHome = true;
      ProtectControlGroups = true;
      ProtectKernelModules = true;
      ProtectKernelTunables = true;
      RestrictSUIDSGID = true;
    };
  };
in
{
  options.services.hydra-resolver = {
    enable = lib.mkEnableOption "hydra-resolver, which builds the builds that Hydra's evaluator adds";

    package = mkOption {
      type = types.package;
      default = pkgs.callPackage ./package.nix { };
      defaultText = lib.literalExpression "pkgs.callPackage ./package.nix { }";
      description = "The package to use.";
    };

    user = mkOption {
      type = types.str;
      default = "hydra-queue-runner";
      description = ''
        User that the worker runs as. The default is the user that services.hydra, or services.hydra-queue-runner-dev,
        creates for its queue runner: it may use the database and write build logs, and the Nix daemon trusts it.
      '';
    };

    group = mkOption {
      type = types.str;
      default = "hydra";
      description = "Group that the worker runs as; the web pages read build logs as this group.";
    };

    replaceQueueRunner = mkOption {
      type = types.bool;
      default = hydra.enable || queueRunnerDev.enable;
      defaultText = lib.literalExpression "config.services.hydra.enable || config.services.hydra-queue-runner-dev.enable";
      description = ''
        Whether to disable the units of Hydra's own queue runner. The two would build the same builds. Leave
        services.hydra-queue-runner-dev enabled: it creates the user.
      '';
    };

    installSchema = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Whether to run `hydra-resolver db install` before the worker starts. This needs a role that owns Hydra's tables.
        Disable it for a worker whose role has only the rights of a worker (`hydra-resolver db grant`).
      '';
    };

    environmentFile = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "/run/secrets/hydra-resolver";
      description = ''
        File with environment variables that must not be in the Nix store, such as HYDRA_RESOLVER_DATABASE with a
        password. They override `settings`.
      '';
    };

    settings = mkOption {
      description = "The settings file; `hydra-resolver config` lists the settings. Null: not set.";
      default = { };
      example = lib.literalExpression ''{ jobs = 8; verbs = [ "load" "resolve" ]; }'';
      type = types.submodule {
        freeformType = toml.type;
        options = {
          database = mkOption {
            type = types.nullOr types.str;
            default = if hydraDev.enable then hydraDev.dbUrl else hydra.dbi or "postgresql:///hydra";
            defaultText = lib.literalExpression "config.services.hydra-dev.dbUrl, else config.services.hydra.dbi";
            description = "Hydra's database: a URL, a connection string, or the value of Hydra's `dbi`.";
          };
          listen_database = mkOption {
            type = types.nullOr types.str;
            default = null;
            description = "The server itself, if `database` is a pooler in transaction mode; `none`: poll.";
          };
          store = mkOption {
            type = types.str;
            default = "daemon";
            description = "The Nix store, the same for all workers of a database.";
          };
          state = mkOption {
            type = types.str;
            default = "/var/lib/hydra-resolver";
            description = "Directory of the worker's garbage collector roots.";
          };
          hydra_data = mkOption {
            type = types.nullOr types.str;
            default = "/var/lib/hydra";
            description = "Hydra's data directory: the worker writes build logs there, and reads hydra.conf.";
          };
          status_address = mkOption {
            type = types.nullOr types.str;
            default = null;
            example = "8080";
            description = ''
              Port, or HOST:PORT, where the worker answers requests of Hydra's pages to a queue runner
              (queue_runner_endpoint in hydra.conf), and serves /metrics for Prometheus. Null: nowhere.
            '';
          };
        };
      };
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = builtins.elem "ca-derivations" (config.nix.settings.experimental-features or [ ]);
        message = ''services.hydra-resolver needs nix.settings.experimental-features = [ "ca-derivations" ].'';
      }
    ];

    environment.systemPackages = [ cfg.package ];

    systemd.services = {
      hydra-resolver-init = lib.mkIf cfg.installSchema (
        lib.recursiveUpdate common {
          description = "Schema of hydra-resolver in Hydra's database";
          wantedBy = [ "multi-user.target" ];
          after = [
            "postgresql.service"
            "hydra-init.service"
          ];
          wants = lib.optional (hydra.enable || hydraDev.enable) "hydra-init.service";
          serviceConfig = {
            Type = "oneshot";
            RemainAfterExit = true;
            ExecStart = "${lib.getExe cfg.package} db install";
          };
        }
      );

      hydra-resolver = lib.recursiveUpdate common {
        description = "Worker of hydra-resolver";
        wantedBy = [ "multi-user.target" ];
        requires = lib.optional cfg.installSchema "hydra-resolver-init.service";
        after = [
          "network.target"
          "nix-daemon.socket"
          "postgresql.service"
        ]
        ++ lib.optional cfg.installSchema "hydra-resolver-init.service";
        serviceConfig = {
          Type = "exec";
          ExecStart = "${lib.getExe cfg.package} worker";
          # Only the worker gets SIGTERM, and ends its builds itself.
          KillMode = "mixed";
          TimeoutStopSec = 60;
          Restart = "on-failure";
          RestartSec = 10;
        };
      };

      hydra-queue-runner = replaced;
      hydra-queue-runner-dev = replacedDev;
      hydra-queue-runner-check-space = replacedDev;
    };
    systemd.sockets = {
      hydra-queue-runner-dev-grpc = replacedDev;
      hydra-queue-runner-dev-rest = replacedDev;
    };
  };
}
