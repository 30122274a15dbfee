"""The command line: each command calls the public function of the same name.

Layer 6. Each command imports its packages when it runs, so that `--help` is quick.
"""

from bonescint.cli.app import main

__all__ = ["main"]
