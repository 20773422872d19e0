"""`python -m tidegate`: the same program, for launchers that want a module (torchrun)."""

from tidegate.cli import main

main()
