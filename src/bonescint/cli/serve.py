"""`bonescint serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bonescint.cli.console import say, say_notice
from bonescint.cli.options import AnyWorkers, Device, Port


def serve(
    *,
    port: Port = 8600,
    host: str = "127.0.0.1",
    model: Path | None = None,
    tokens: Path | None = None,
    keep: Annotated[float, typer.Option(min=0.1, metavar="MINUTES")] = 60.0,
    most_mb: Annotated[int, typer.Option(min=1, metavar="MB")] = 256,
    most_scans: Annotated[int, typer.Option(min=1)] = 20,
    rate: Annotated[int, typer.Option(min=1)] = 60,
    at_once: Annotated[int, typer.Option(min=1)] = 4,
    call_anyway: bool = False,
    workers: AnyWorkers = None,
    device: Device = "cpu",
) -> None:
    """Serve a model over HTTP, with a page on which you drop a scan.

    Open the address in a browser, or POST files to /studies; /openapi.json describes the service.
    Uploaded files are deleted once they have been classified. Results stay in memory for a limited
    time. Other machines can connect only if you give --host and a file of tokens; put a proxy that
    provides TLS in front. Research use only; not a medical device.

    Needs the extra: pip install 'bonescint[serve]', or [serve,pacs] for DICOM objects

    Args:
        host: Address to listen on.
        model: Model folder, or a name of `bonescint model list`; the shipped model if left out.
        tokens: File with one token per line; clients send 'Authorization: Bearer TOKEN'.
        keep: Minutes that results are kept.
        most_mb: Largest upload in megabytes.
        most_scans: Largest number of scans in an upload.
        rate: Uploads that each client may send in a minute.
        at_once: Uploads that are classified at the same time.
        call_anyway: Also call scans that are too unlike those that the model knows.

    Exit status: 0 stopped, 2 could not start.

    Examples:
      bonescint serve
      bonescint serve --host 0.0.0.0 --port 8600 --tokens tokens.txt --keep 15
      curl -F files=@scan.dcm http://127.0.0.1:8600/studies
    """
    from bonescint.extras import require

    require("starlette", "fastapi", "prometheus_client", extra="serve")
    from bonescint.serve.access import ServiceSettings
    from bonescint.serve.http import serve_http

    settings = ServiceSettings(
        host=host,
        port=port,
        tokens=tokens,
        keep_s=60 * keep,
        most_upload_bytes=most_mb * 1_000_000,
        most_scans=most_scans,
        rate_per_min=rate,
        at_once=at_once,
    )
    serve_http(
        settings,
        model=model,
        workers=workers,
        device=device,
        call_anyway=call_anyway,
        ready=_tell,
    )


def _tell(address: str) -> None:
    say(f"Open {address} (Ctrl-C stops)")
    say_notice()
