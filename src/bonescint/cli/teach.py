"""`bonescint teach`: learn to read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bonescint.cli.console import open_in_browser, say
from bonescint.cli.options import Open, Seed

_Port = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=65535,
        help="Port; 0 for any that is free.",
        show_default="any that is free; 8000 for a classroom",
    ),
]


def teach(
    *,
    course: str = "",
    cohort: Path | None = None,
    classroom: bool = False,
    progress: Path | None = None,
    model: str = "shipped",
    host: str = "127.0.0.1",
    port: _Port = None,
    certificate: Path | None = None,
    key: Path | None = None,
    behind_proxy: bool = False,
    name: list[str] | None = None,
    seed: Seed = 0,
    opens: Open = True,
) -> None:
    """Learn to read bone scans: simulated cases without end, each with its answer at once.

    Opens the browser; no account and no set-up are needed. Every answer is stored in a local file
    before its feedback is shown, and the next start goes on where the last one ended. For teaching;
    simulated patients; not a medical device.

    With --classroom one server serves a teacher and many students, who sign in under pseudonyms;
    the link for the teacher is printed at the start. Needs the extra: pip install
    'bonescint[teach]'

    Args:
        course: Name of a course to open at once, or a YAML file with a course of your own.
        cohort: Manifest with masks or truth files; its scans are the cases, not simulated ones.
        classroom: Serve a teacher and students, each with an account.
        progress: File for the answers; in the user's data folder unless given.
        model: Model whose answer stands beside the truth: a model folder, a name of `bonescint
            model list`, or 'none'.
        host: Address to listen on; one that other machines can reach needs TLS or a proxy.
        certificate: TLS certificate, PEM.
        key: Its key, PEM.
        behind_proxy: A proxy in front provides TLS.
        name: Host name that browsers use; may be repeated. Any unless given.

    Examples:
      bonescint teach
      bonescint teach --course rib-fractures
      bonescint teach --cohort my-teaching-file/manifest.csv --classroom
    """
    from bonescint.extras import require

    require("fastapi", "sqlalchemy", "fsrs", "mujoco", extra="teach")
    from bonescint.study.web.dependencies import ServeSettings
    from bonescint.teach.serving import TeachOptions, serve_teaching

    if port is None:
        port = 8000 if classroom else 0
    settings = ServeSettings(
        host=host,
        port=port,
        certificate=certificate,
        key=key,
        behind_proxy=behind_proxy,
        names=tuple(name or ()),
    )
    options = TeachOptions(
        course=course,
        cohort=cohort,
        classroom=classroom,
        progress=progress,
        model=model,
        seed=seed,
    )

    def ready(address: str) -> None:
        say(f"Learn to read: {address}   (Ctrl-C stops)")
        if opens:
            open_in_browser(address)

    serve_teaching(options, settings, ready=ready, notice=say)
