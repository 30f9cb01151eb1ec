"""`python -m hydra_resolver` is the command `hydra-resolver`."""

from .cli import main

main()
