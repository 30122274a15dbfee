"""The HTTP service: routes, and what happens to an upload."""

from __future__ import annotations

import logging
import re
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import anyio
from fastapi import Depends, FastAPI, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from jinja2 import FileSystemLoader
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

import bonescint
from bonescint.dicom.results import ResultKind
from bonescint.dicom.words import view_in_path
from bonescint.report import page_environment
from bonescint.scan import RESEARCH_USE, BonescintError
from bonescint.serve.access import (
    RequestRate,
    ServiceChecks,
    ServiceSettings,
    TokenList,
    problem,
)
from bonescint.serve.answers import (
    ServiceHealth,
    StudyAnswer,
    UploadAnswer,
    UploadedFiles,
    study_answer,
    view_answer,
)
from bonescint.serve.kept import KeptResults
from bonescint.serve.upload_classifier import (
    ClassifiedUpload,
    ServedScan,
    TooManyScansError,
    UploadClassifier,
)
from bonescint.viewer import TEMPLATES, mount_viewer

_LOG = logging.getLogger("bonescint.serve")
_HERE = Path(str(resources.files("bonescint.serve")))
_SWEEP_S = 30.0
_WAIT_S = 2
_MOST_FILES = 1000
_LONGEST_NAME = 80
_ENDINGS = frozenset({".zip", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm", ".ima"})


@dataclass(slots=True, kw_only=True)
class ServiceContext:
    """What the routes share.

    Attributes:
        classifier: the model with its workers.
        settings: address and limits of the service.
        kept: results that can still be asked for.
        tokens: tokens that are accepted.
        rate: limits the requests of each client.
        meters: counters and times for `/metrics`.
        in_progress: uploads that are being classified.
    """

    classifier: UploadClassifier
    settings: ServiceSettings
    kept: KeptResults
    tokens: TokenList
    rate: RequestRate
    meters: ServiceMeters
    in_progress: int = 0


class ServiceMeters:
    """What Prometheus reads; no label tells a patient, a file or a client."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "bonescint_requests", "Requests by route and status", ("method", "route", "status"),
            registry=self.registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "bonescint_request_seconds", "Seconds to the end of the answer", ("route",),
            registry=self.registry,
        )  # fmt: skip
        self.scans = Counter(
            "bonescint_scans", "Scans by call, and refused files", ("outcome",),
            registry=self.registry,
        )  # fmt: skip
        self.kept = Gauge("bonescint_results_kept", "Results in memory", registry=self.registry)
        self.in_progress = Gauge(
            "bonescint_uploads_in_progress", "Uploads that are being classified",
            registry=self.registry,
        )  # fmt: skip


def service_app(classifier: UploadClassifier, settings: ServiceSettings) -> FastAPI:
    """The application.

    Args:
        classifier: an open classifier; the caller closes it.
        settings: where and within which limits it runs.

    Raises:
        InputError: the file of tokens cannot be used.
    """
    context = ServiceContext(
        classifier=classifier,
        settings=settings,
        kept=KeptResults(keep_s=settings.keep_s, most_bytes=settings.most_kept_bytes),
        tokens=TokenList(settings.tokens),
        rate=RequestRate(settings.rate_per_min),
        meters=ServiceMeters(),
    )
    app = FastAPI(
        title="bonescint",
        version=bonescint.__version__,
        description=f"Reads whole-body bone scans. {RESEARCH_USE}",
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
        lifespan=_sweeping(context),
    )
    app.state.context = context
    app.mount("/static", StaticFiles(directory=_HERE / "static"), name="static")
    mount_viewer(app)
    app.add_middleware(ServiceChecks, settings=settings)
    app.middleware("http")(_measured)
    app.add_exception_handler(HTTPException, _told)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(Exception, _failed)
    _add_routes(app)
    return app


def _sweeping(context: ServiceContext) -> Callable[[FastAPI], Any]:
    """Delete results whose time is over, also while nobody asks."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async def sweep() -> None:
            while True:
                context.kept.sweep()
                await anyio.sleep(_SWEEP_S)

        async with anyio.create_task_group() as group:
            group.start_soon(sweep)
            yield
            group.cancel_scope.cancel()

    return lifespan


async def _measured(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Count and log a request, by its route: addresses hold names of results."""
    context: ServiceContext = request.app.state.context
    began = time.monotonic()
    response = await call_next(request)
    route = getattr(request.scope.get("route"), "path", "other")
    seconds = time.monotonic() - began
    context.meters.requests.labels(request.method, route, response.status_code).inc()
    context.meters.seconds.labels(route).observe(seconds)
    _LOG.info("%s %s %d %.0f ms", request.method, route, response.status_code, 1000 * seconds)
    return response


def _told(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    wait = (error.headers or {}).get("retry-after", "0")
    standard = error.detail in ("", _phrase(error.status_code))
    return problem(error.status_code, "" if standard else error.detail, retry_s=int(wait))


def _phrase(status: int) -> str:
    from http import HTTPStatus

    return HTTPStatus(status).phrase


def _malformed(_request: Request, _error: Exception) -> Response:
    # What was sent is not repeated.
    return problem(422, "The request is malformed: send files as multipart/form-data, 'files'.")


def _failed(_request: Request, error: Exception) -> Response:
    _LOG.error("an answer failed: %s", type(error).__name__)
    return problem(500, "The server failed. Its log says where.")


async def the_context(request: Request) -> ServiceContext:
    """What the routes share."""
    context: ServiceContext = request.app.state.context
    return context


Context = Annotated[ServiceContext, Depends(the_context)]


async def known_client(request: Request, context: Context) -> str:
    """A name for the client, who has a valid token if one is needed.

    Raises:
        HTTPException: it has none.
    """
    client = context.tokens.client(request.headers.get("authorization", ""))
    if client is None:
        raise HTTPException(401)
    return client or (request.client.host if request.client else "")


Client = Annotated[str, Depends(known_client)]


async def known_result(name: str, context: Context, _client: Client) -> tuple[ServedScan, float]:
    """A kept result and the seconds that it will be kept.

    Raises:
        HTTPException: there is none.
    """
    found = context.kept.get(name)
    if found is None:
        raise HTTPException(404)
    return found


Result = Annotated[tuple[ServedScan, float], Depends(known_result)]


def _add_routes(app: FastAPI) -> None:
    for path, endpoint, more in (
        ("/health", health, {}),
        ("/metrics", metrics, {"response_class": Response}),
        ("/", page, {"response_class": Response, "include_in_schema": False}),
        ("/studies/{name}", result, {}),
        ("/studies/{name}/picture.png", picture, {"response_class": Response}),
        ("/studies/{name}/pixels", pixels, {"response_class": Response}),
        ("/studies/{name}/view", view, {}),
        ("/studies/{name}/{kind}.dcm", dicom_object, {"response_class": Response}),
    ):
        app.get(path, **more)(endpoint)
    app.post("/studies", status_code=201)(classify_upload)
    app.delete("/studies/{name}", status_code=204)(forget)


async def health(context: Context) -> ServiceHealth:
    """Say whether the service works; needs no token."""
    return ServiceHealth(
        status="ok",
        version=bonescint.__version__,
        model_id=context.classifier.folder.model_id,
        results_kept=len(context.kept),
    )


async def metrics(context: Context, _client: Client) -> Response:
    """What Prometheus reads."""
    context.meters.kept.set(len(context.kept))
    context.meters.in_progress.set(context.in_progress)
    text = generate_latest(context.meters.registry)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


async def page(context: Context) -> Response:
    """The page on which a scan is dropped; needs no token, for it holds nothing."""
    environment = page_environment(FileSystemLoader([_HERE / "templates", TEMPLATES]))
    html = environment.get_template("service.html.jinja").render(
        notice=RESEARCH_USE,
        model=context.classifier.folder.model_id,
        model_notice=context.classifier.algorithm.notice,
        needs_token=not context.tokens.is_open,
        keep_min=round(context.settings.keep_s / 60),
    )
    return Response(html, media_type="text/html; charset=utf-8")


async def classify_upload(
    files: list[UploadFile], context: Context, client: Client
) -> UploadAnswer:
    """Classify the scans of an upload: DICOM files, ZIP archives, or pairs of pictures.

    Names of pictures tell their views (`*_anterior.png`, `*_posterior.png`); names with folders
    (`a/anterior.png`) keep patients apart. Files are deleted once they have been classified;
    results are kept for a limited time.
    """
    wait_s = context.rate.wait_s(client)
    if wait_s:
        raise HTTPException(429, headers={"retry-after": str(wait_s)})
    if context.in_progress >= context.settings.at_once:
        raise HTTPException(503, headers={"retry-after": str(_WAIT_S)})
    if len(files) > _MOST_FILES:
        raise HTTPException(413, f"One request may have {_MOST_FILES} files.")
    context.in_progress += 1
    try:
        return await anyio.to_thread.run_sync(partial(_classified, files, context))
    except TooManyScansError as error:
        raise HTTPException(413, str(error)) from None
    except BonescintError:
        _LOG.error("an upload could not be classified")
        raise HTTPException(500, "The upload could not be classified. Send it again.") from None
    finally:
        context.in_progress -= 1


def _classified(files: Sequence[UploadFile], context: ServiceContext) -> UploadAnswer:
    """Store an upload, classify it, delete it."""
    with tempfile.TemporaryDirectory(prefix="bonescint-") as name:
        stored = _stored(files, Path(name))
        classified = context.classifier.classify(Path(name), most=context.settings.most_scans)
    return _upload_answer(classified, stored, context)


def _stored(files: Sequence[UploadFile], folder: Path) -> UploadedFiles:
    """Write the files of an upload into a folder that only this process can read.

    Names are kept as far as they tell views, and no further: none leads out of the folder, and
    none is that of a manifest, which would name files of this machine. Files of different folders
    stay apart, for pictures are paired within a folder.
    """
    paths = []
    numbers: dict[tuple[str, ...], int] = {}
    for number, file in enumerate(files, start=1):
        *folders, name = (file.filename or "").replace("\\", "/").split("/")
        inside = Path(_plain_name(name))
        if folders and view_in_path(Path(folders[-1], "0")) is not None:  # ANT/1.png, POST/1.png
            inside = _plain_name(folders.pop()) / inside
        path = folder / f"{numbers.setdefault(tuple(folders), len(numbers)):04}" / inside
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            stream = path.open("xb")
        except FileExistsError:  # a second file, or a folder, of this name
            path = folder / f"again-{number:04}" / inside
            path.parent.mkdir(parents=True)
            stream = path.open("xb")
        with stream:
            shutil.copyfileobj(file.file, stream)
        paths.append(path)
    return UploadedFiles(paths=tuple(paths))


def _plain_name(name: str) -> str:
    """The name of a file or folder without control characters and unusual endings.

    Examples:
        >>> _plain_name("p1_anterior.PNG"), _plain_name("manifest.csv"), _plain_name("..")
        ('p1_anterior.png', 'manifest_csv', 'file')
    """
    stem, ending = PurePosixPath(name).stem, PurePosixPath(name).suffix.lower()
    if ending not in _ENDINGS:
        stem, ending = name, ""
    plain = re.sub(r"[^\w -]", "_", stem).strip(" _")[:_LONGEST_NAME]
    return f"{plain or 'file'}{ending}"


def _upload_answer(
    classified: ClassifiedUpload, stored: UploadedFiles, context: ServiceContext
) -> UploadAnswer:
    studies = []
    for one in classified.scans:
        name = context.kept.add(one)
        files = stored.numbers(one.study.files)
        studies.append(_answer(name, one, context.settings.keep_s, files, context))
        context.meters.scans.labels(one.call.value).inc()
    refused = [stored.refused(error) for error in classified.refused]
    context.meters.scans.labels("refused").inc(len(refused))
    return UploadAnswer(studies=studies, refused=refused)


def _answer(
    name: str, classified: ServedScan, left_s: float, files: list[int], context: ServiceContext
) -> StudyAnswer:
    algorithm = context.classifier.algorithm
    return study_answer(
        name, classified, left_s, files, algorithm.operating_point, algorithm.notice
    )


async def result(name: str, found: Result, context: Context) -> StudyAnswer:
    """A result, while it is kept."""
    return _answer(name, found[0], found[1], [], context)


async def picture(found: Result) -> Response:
    """The picture of a scan with the evidence, PNG."""
    return _download(found[0].picture, "image/png", f"{found[0].scan}.png")


async def pixels(found: Result) -> Response:
    """The pixels of a scan as the page shows them: uint16, little-endian, anterior view first."""
    return Response(
        found[0].pixels,
        media_type="application/octet-stream",
        headers={"content-encoding": "gzip"},
    )


async def view(found: Result) -> dict[str, Any]:
    """What the page needs to show a scan."""
    return dict(view_answer(found[0]))


async def dicom_object(kind: ResultKind, found: Result) -> Response:
    """A DICOM object: the picture as a Secondary Capture, or a Structured Report."""
    content = found[0].objects.get(kind)
    if content is None:
        raise HTTPException(404)
    return _download(content, "application/dicom", f"{found[0].scan}.{kind.value}.dcm")


async def forget(name: str, _found: Result, context: Context) -> Response:
    """Delete a result now."""
    context.kept.delete(name)
    return Response(status_code=204)


def _download(content: bytes, media_type: str, name: str) -> Response:
    disposition = f'attachment; filename="{name}"'
    return Response(content, media_type=media_type, headers={"content-disposition": disposition})
