"""Who may use the HTTP service, and how much."""

from __future__ import annotations

from pathlib import Path

import pytest

from bonescint.scan import InputError, ParameterError
from bonescint.serve.access import RequestRate, ServiceSettings, TokenList

LONG = "a-token-of-some-length"


def test_other_machines_need_tokens(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="loopback, unless --tokens"):
        ServiceSettings(host="0.0.0.0")  # noqa: S104 - what is refused
    ServiceSettings(host="::1")
    ServiceSettings(host="0.0.0.0", tokens=tmp_path / "tokens")  # noqa: S104


@pytest.mark.parametrize(
    ("host", "answered"),
    [("127.0.0.1:8600", True), ("localhost", True), ("[::1]:8600", True), ("[::1]", True),
     ("evil.example:8600", False), ("127.0.0.1.evil.example", False), ("", False)],
)  # fmt: skip
def test_names_of_loopback(host: str, answered: bool) -> None:
    assert ServiceSettings().answers_to(host) is answered


@pytest.mark.parametrize("wrong", [{"keep_s": 0}, {"rate_per_min": -1}, {"port": 70_000}])
def test_limits_are_checked(wrong: dict[str, int]) -> None:
    with pytest.raises(ParameterError):
        ServiceSettings(**wrong)  # type: ignore[arg-type]


def test_tokens(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"# of the ward\n{LONG}  # Anna\n\nanother-token-of-length\n")
    tokens = TokenList(file)
    anna, other = tokens.client(f"Bearer {LONG}"), tokens.client("bearer another-token-of-length")
    assert anna
    assert other
    assert anna != other
    assert LONG not in anna
    for wrong in ("", LONG, f"Basic {LONG}", f"Bearer {LONG}x", "Bearer ", "Bearer # Anna"):
        assert tokens.client(wrong) is None
    assert TokenList(None).client("") == ""


@pytest.mark.parametrize("content", ["", "# only a comment", "short", f"{LONG}\nshort"])
def test_tokens_that_protect_nothing_are_refused(content: str, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(content)
    with pytest.raises(InputError) as refused:
        TokenList(file)
    assert LONG not in str(refused.value)
    with pytest.raises(InputError):
        TokenList(tmp_path / "none")


def test_the_rate_is_of_each_client_and_of_a_minute() -> None:
    now = 0.0
    rate = RequestRate(2, clock=lambda: now)
    assert [rate.wait_s("a"), rate.wait_s("b"), rate.wait_s("a")] == [0, 0, 0]
    now = 20.0
    assert rate.wait_s("a") == 40
    now = 60.5
    assert rate.wait_s("a") == 0
