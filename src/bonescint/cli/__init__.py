"""The command line: one thin command per public function, the same name in Python.

Layer 6. Every package is imported inside its command, so that `--help` is quick.
"""

from bonescint.cli.app import main

__all__ = ["main"]
