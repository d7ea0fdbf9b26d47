"""`python -m labkit`: the command `labkit`, which `workbench.command` defines."""

import sys

from workbench.command import main

if __name__ == "__main__":
    code = main()
    if "labkit.training.distributed" in sys.modules:
        sys.modules["labkit.training.distributed"].leave(code)
    sys.exit(code)
