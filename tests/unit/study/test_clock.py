from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from bonescint.study import study_status
from bonescint.study.serving import running_study, serve_study
from bonescint.study.simulated import SimulatedReader, read_study, truth_by_picture
from bonescint.study.store import clock
from bonescint.study.store.clock import Anchor, StudyClock, boot_id
from bonescint.study.web.dependencies import ServeSettings

DAY_S = 86_400.0


def test_the_clock_never_goes_back() -> None:
    wall, steady = [1000.0], [0.0]
    clock = StudyClock(wall=lambda: wall[0], steady=lambda: steady[0])
    wall[0], steady[0] = 10.0, 5.0  # somebody sets the clock back by a quarter of an hour
    assert clock.now() == 1005.0
    wall[0] = 1e9  # and then into another year
    assert clock.now() == 1005.0
    later = StudyClock(not_before_s=2000.0, wall=lambda: 1500.0, steady=lambda: 0.0)
    assert later.now() == 2000.0
    assert later.behind_s == 500.0


def at(wall: float, steady: float, boot: str, **known: object) -> StudyClock:
    return StudyClock(
        wall=lambda: wall, steady=lambda: steady, boot=lambda: boot, **known  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize("jump_s", [-400 * DAY_S, -3600.0, 0.0, 3600.0, 400 * DAY_S])
def test_a_jump_while_the_server_is_stopped_moves_nothing(jump_s: float) -> None:
    first = at(1e9, 50.0, "boot")
    anchor = first.anchor()
    again = at(1e9 + 600 + jump_s, 650.0, "boot", not_before_s=1e9 + 20, anchor=anchor)
    assert again.now() == pytest.approx(1e9 + 600)
    assert again.behind_s == pytest.approx(-jump_s)
    assert [("behind" in line, "ahead" in line) for line in again.notices()] == (
        [] if jump_s == 0 else [(jump_s < 0, jump_s > 0)]
    )


def test_after_a_new_start_of_the_machine_its_clock_is_taken_but_never_an_earlier_one() -> None:
    anchor = Anchor(at_s=1e9, steady_s=50.0, boot="boot")
    ahead = at(1e9 + 40 * DAY_S, 5.0, "next boot", not_before_s=1e9 + 20, anchor=anchor)
    assert ahead.now() == 1e9 + 40 * DAY_S
    (said,) = ahead.notices()
    assert "The last entry is of 2001-09-09" in said
    assert "2001-10-19" in said
    behind = at(1e9 - 40 * DAY_S, 5.0, "next boot", not_before_s=1e9 + 20, anchor=anchor)
    assert behind.now() == 1e9 + 20
    (said,) = behind.notices()
    assert "40.0 days behind" in said
    # A steady clock that went back is none (a virtual machine put back to an earlier state).
    restored = at(1e9 + 300, 40.0, "boot", not_before_s=1e9 + 20, anchor=anchor)
    assert restored.now() == 1e9 + 300
    # Where the system does not name its starts, no anchor is believed.
    unnamed = at(1e9 + 300, 60.0, "", anchor=Anchor(at_s=1e9, steady_s=50.0, boot=""))
    assert unnamed.now() == 1e9 + 300


@pytest.mark.skipif(not boot_id(), reason="the system does not name its starts")
def test_a_wash_out_does_not_end_by_a_clock_set_forward(
    world: SimpleNamespace, cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = world.make_study(
        tmp_path / "study", cohort, readers=1, sample=2, second_session="repeat", training=0
    )
    with study.open_store() as store:
        truths = truth_by_picture(study, store)
    with running_study(study) as address, world.enter(study, address, "r1") as client:
        read_study(client, SimulatedReader(reader="r1"), truths)
        assert client.state()["phase"] == "waiting"
    import time

    jumped = partial(StudyClock, wall=lambda: time.time() + 40 * DAY_S)
    monkeypatch.setattr(clock, "StudyClock", jumped)
    with running_study(study) as address, world.enter_again(address, "r1") as client:
        assert client.state()["phase"] == "waiting"
    (row,) = [row for row in study_status(study) if row.role == "reader"]
    assert row.phase.value == "waiting"
    told: list[str] = []
    monkeypatch.setattr("uvicorn.Server.run", lambda *_, **__: None)
    serve_study(study, ServeSettings(port=0), notice=told.append)
    (said,) = told
    assert "40.0 days ahead" in said
