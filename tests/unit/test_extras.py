from __future__ import annotations

import subprocess
import sys

import pytest

from bonescint.extras import load, require
from bonescint.scan import MissingExtraError


def test_a_missing_library_names_its_extra() -> None:
    with pytest.raises(MissingExtraError, match=r"bonescint\[train\]"):
        require("torch", "no_such_library", extra="train")
    with pytest.raises(MissingExtraError, match="no_such_library"):
        load("no_such_library.below", extra="train")


def test_importing_the_package_without_torch_says_which_extra() -> None:
    code = (
        "import sys, importlib.util as u; real = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'torch' else real(name, *a)\n"
        "from bonescint.scan import MissingExtraError\n"
        "try:\n    import bonescint.train\n"
        "except MissingExtraError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("'torch' is not installed.")
