"""What a frozen protocol makes is what it was frozen with."""

from __future__ import annotations

from pathlib import Path

import pytest

from bonescint.cohort import read_protocol, simulate_cohort

pytest.importorskip("mujoco", reason="needs the extra 'simulate'")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ["ibrahim2023@1", "ibrahim2023@2"])
def test_the_papers_protocol_makes_what_it_was_frozen_with(tmp_path: Path, name: str) -> None:
    protocol = read_protocol(name)
    assert protocol.frozen is not None
    assert list(protocol.frozen.sha256) == list(protocol.centres)
    cohort = simulate_cohort(tmp_path, protocol, seed=protocol.frozen.seed)
    assert cohort.frozen.sha256 == dict(protocol.frozen.sha256)
