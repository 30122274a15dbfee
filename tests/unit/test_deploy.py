"""The files for containers: what they run exists, and runs with as few rights as they say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml
from typer.testing import CliRunner

from bonescint.cli.app import app

ROOT = Path(__file__).parents[2]
CONTAINERFILE = (ROOT / "Containerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))


def test_the_command_of_the_container_exists_with_its_options() -> None:
    found = re.search(r"^CMD (\[.*\])$", CONTAINERFILE, re.MULTILINE)
    assert found
    for command, *words in (json.loads(found[1]), COMPOSE["services"]["node"]["command"]):
        told = CliRunner().invoke(app, [command, "--help"], terminal_width=200)
        assert told.exit_code == 0
        for option in (word for word in words if word.startswith("--")):
            assert option in told.stdout
        assert {"--tokens", "--allow"} & set(words)  # other machines can reach it


def test_files_that_are_copied_exist() -> None:
    ignored = (ROOT / ".containerignore").read_text(encoding="utf-8").splitlines()
    for line in re.findall(r"^COPY (?!--from)(.*)$", CONTAINERFILE, re.MULTILINE):
        for name in line.split()[:-1]:
            assert (ROOT / name).exists()
            assert f"!{name.removeprefix('./')}" in ignored


def test_it_is_not_root_and_says_whether_it_lives() -> None:
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", CONTAINERFILE, re.MULTILINE)
    health = re.search(r"^HEALTHCHECK[^\[]*(\[.*\])$", CONTAINERFILE, re.MULTILINE)
    assert health
    _, _, script = json.loads(health[1])
    compile(script, "health", "exec")
    assert "/health" in script
    assert "Research use only" in CONTAINERFILE


def test_compose_gives_few_rights_and_listens_on_loopback_only() -> None:
    for name in ("bonescint", "node"):
        service = COMPOSE["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    service = COMPOSE["services"]["bonescint"]
    for one in COMPOSE["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in one["ports"])
    dockerfile = ROOT / "deploy" / service["build"]["context"] / service["build"]["dockerfile"]
    assert dockerfile.resolve() == ROOT / "Containerfile"
    assert set(service["secrets"]) <= set(COMPOSE["secrets"])
