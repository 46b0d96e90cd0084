"""What users call. Commands are imported when they are used: `composemesh --version` loads neither click nor trio."""

from __future__ import annotations

import sys

from composemesh import __version__


def main() -> None:
    """Run the command line of this process and exit: 0 done, 1 what was asked about is wrong, 2 the call is wrong."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        print(f"composemesh {__version__}")
        return
    from composemesh.cli.guard import guarded
    from composemesh.cli.root import root

    sys.exit(guarded(root))
