from __future__ import annotations

import json

from pydicom.data import get_testdata_file
from typer.testing import CliRunner

from bonescint.cli.app import app

REAL = str(get_testdata_file("JPGExtended.dcm", download=False))


def test_info_says_what_a_file_holds() -> None:
    ran = CliRunner().invoke(app, ["info", REAL])
    assert ran.exit_code == 0
    for text in ("GE private view name", "1024 rows x 256 columns", "2.26 x 2.26 mm", "MILLENNIUM"):
        assert text in ran.stdout


def test_info_as_json() -> None:
    ran = CliRunner().invoke(app, ["info", REAL, "missing.dcm", "--json"])
    assert ran.exit_code == 1
    content = json.loads(ran.stdout)
    assert content["schema_version"] == 1
    assert content["scans"][0]["rows"] == 1024
    assert content["refused"][0]["source"] == "missing.dcm"


def test_info_of_nothing() -> None:
    ran = CliRunner().invoke(app, ["info", "missing.dcm"])
    assert ran.exit_code == 2
    assert ran.stderr.startswith("Rejected: missing.dcm: does not exist")
