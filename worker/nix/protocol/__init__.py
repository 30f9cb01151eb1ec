"""The worker protocol: how programs talk to a Nix store."""
