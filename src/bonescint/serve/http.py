"""Run the HTTP service, until it is stopped or in a thread."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bonescint.classify.classify import model_folder
from bonescint.extras import require
from bonescint.serve.access import ServiceSettings
from bonescint.viewer.serving import address_family, listen_on, running_in_thread, url_host

if TYPE_CHECKING:
    import uvicorn

    from bonescint.serve.upload_classifier import UploadClassifier

_MOST_CONNECTIONS = 128
_LIBRARIES = ("fastapi", "python_multipart", "prometheus_client", "uvicorn")


def serve_http(
    settings: ServiceSettings | None = None,
    *,
    model: Path | str | None = None,
    workers: int | None = None,
    device: str = "cpu",
    call_anyway: bool = False,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve a model over HTTP until Ctrl-C or SIGTERM.

    Args:
        settings: where and within which limits; port 8600 on loopback if `None`.
        model: model folder; the shipped model if `None`.
        workers: worker processes; as many as cores, at most 8, if `None`.
        device: `"cpu"`, `"gpu"` or `"auto"`.
        call_anyway: also call scans that are too unlike the training scans.
        ready: called with the address once the server listens.

    Raises:
        MissingExtraError: the extra `serve` is not installed.
        InputError: the file of tokens cannot be used.
        ModelFolderError: the model cannot be used.
        OutputError: the port is taken.
    """
    settings = settings or ServiceSettings()
    with _open(settings, model, workers, device=device, call_anyway=call_anyway) as found:
        classifier, listener = found
        server = _server(classifier, settings)
        if ready is not None:
            ready(_address(settings, listener))
        server.run(sockets=[listener])


@contextmanager
def running_service(
    settings: ServiceSettings, *, model: Path | str | None = None, workers: int | None = 1
) -> Iterator[str]:
    """Serve a model in a thread of this process.

    Args:
        settings: where and within which limits.
        model: model folder; the shipped model if `None`.
        workers: worker processes.

    Yields:
        The address, such as `http://127.0.0.1:8600`.
    """
    with _open(settings, model, workers, device="cpu", call_anyway=False) as found:
        classifier, listener = found
        server = _server(classifier, settings)
        with running_in_thread(server, listener):
            yield _address(settings, listener)


@contextmanager
def _open(
    settings: ServiceSettings,
    model: Path | str | None,
    workers: int | None,
    *,
    device: str,
    call_anyway: bool,
) -> Iterator[tuple[UploadClassifier, socket.socket]]:
    """The listening socket and the open model."""
    require(*_LIBRARIES, extra="serve")
    from bonescint.serve.upload_classifier import UploadClassifier

    folder = model_folder(model)
    with (
        _listening(settings) as listener,
        UploadClassifier(
            folder, workers=workers, device=device, call_anyway=call_anyway
        ) as classifier,
    ):
        yield classifier, listener


@contextmanager
def _listening(settings: ServiceSettings) -> Iterator[socket.socket]:
    with socket.socket(address_family(settings.host), socket.SOCK_STREAM) as listener:
        listen_on(listener, settings.host, settings.port)
        yield listener


def _address(settings: ServiceSettings, listener: socket.socket) -> str:
    return f"http://{url_host(settings.host)}:{listener.getsockname()[1]}"


def _server(classifier: UploadClassifier, settings: ServiceSettings) -> uvicorn.Server:
    import uvicorn

    from bonescint.serve.service import service_app

    config = uvicorn.Config(
        service_app(classifier, settings),
        log_config=_logging(),
        access_log=False,  # addresses hold names of results
        server_header=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=10,
        ws="none",
    )
    return uvicorn.Server(config)


def _logging() -> dict[str, Any]:
    """One line per request on standard error: method, route, status, time; nothing else."""
    level = logging.getLevelName(logging.INFO)
    quiet = {"handlers": ["stderr"], "level": "WARNING", "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"plain": {"format": "%(asctime)s %(levelname)s: %(message)s"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
        "loggers": {
            "bonescint.serve": {"handlers": ["stderr"], "level": level, "propagate": False},
            "uvicorn": quiet,
            "uvicorn.error": {**quiet, "level": "CRITICAL"},  # tracebacks hold names of files
            "asyncio": quiet,
        },
    }
