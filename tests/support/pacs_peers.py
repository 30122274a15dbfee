"""Real peers for tests of the transport: Orthanc, dcmtk, certificates, and scans to send."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from tests.support import dicom_files

ORTHANC = shutil.which("Orthanc")
PLUGIN = next(Path("/usr/share/orthanc/plugins").glob("libOrthancDicomWeb.so"), None)
USER, PASSWORD = "tester", "a-password-of-tests"
STARTS_WITHIN_S = 300.0
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
NATIVE = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)


def dcmtk_tool(name: str) -> str | None:
    """Where one of dcmtk's tools is; an environment of Python has pynetdicom's of the same name."""
    own = Path(sys.executable).parent
    places = [place for place in os.get_exec_path() if Path(place) != own]
    return shutil.which(name, path=os.pathsep.join(places))


needs_dcmtk = pytest.mark.skipif(dcmtk_tool("storescu") is None, reason="dcmtk is not installed")
needs_orthanc = pytest.mark.skipif(
    ORTHANC is None or PLUGIN is None, reason="orthanc-dicomweb is not installed"
)


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def await_port(port: int, process: subprocess.Popen[Any]) -> None:
    """Wait until somebody listens on a port."""
    deadline = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline:
        assert process.poll() is None, "the peer ended at once"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the peer does not listen")


@contextmanager
def running(*command: str | Path, log: Path, cwd: Path | None = None) -> Iterator[Any]:
    """A process that is ended with the block; what it prints goes to a file."""
    with log.open("wb") as told:
        process = subprocess.Popen(
            [str(word) for word in command], stdout=told, stderr=subprocess.STDOUT, cwd=cwd
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc."""

    title: str
    dicom_port: int
    http_port: int

    @property
    def dicomweb(self) -> str:
        return f"http://127.0.0.1:{self.http_port}/dicom-web"

    def ask(self, path: str, content: object = None, *, method: str = "") -> Any:
        """Call its REST interface; JSON in, JSON out."""
        data = None if content is None else json.dumps(content).encode()
        login = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.http_port}{path}",
            data=data,
            method=method or ("GET" if data is None else "POST"),
            headers={"Authorization": f"Basic {login}"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.loads(answer.read() or b"null")

    def put(self, path: Path) -> None:
        """Store a file by its REST interface."""
        login = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.http_port}/instances",
            data=path.read_bytes(),
            headers={"Authorization": f"Basic {login}"},
        )
        urllib.request.urlopen(request, timeout=60).close()  # noqa: S310

    def instances(self, study: str) -> list[dict[str, Any]]:
        """The headers of the objects that it has of a study, each with its `ID` in Orthanc."""
        found = self.ask("/tools/find", {"Level": "Instance", "Query": {"StudyInstanceUID": study}})
        return [{**self.ask(f"/instances/{one}/simplified-tags"), "ID": one} for one in found]

    def forget(self) -> None:
        """Delete everything that it has."""
        for study in self.ask("/studies"):
            self.ask(f"/studies/{study}", method="DELETE")


@contextmanager
def orthanc(
    folder: Path, *, modalities: dict[str, object] | None = None, title: str = "PACS"
) -> Iterator[Orthanc]:
    """Run Orthanc, which takes associations only of the modalities that it knows.

    Args:
        folder: an empty folder for its files.
        modalities: what its configuration calls `DicomModalities`.
        title: its AE title.
    """
    folder.mkdir(parents=True, exist_ok=True)
    served = Orthanc(title=title, dicom_port=free_port(), http_port=free_port())
    configuration = {
        "Name": "tests",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [str(PLUGIN)],
        "HttpPort": served.http_port,
        "DicomPort": served.dicom_port,
        "DicomAet": title,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD},
        "DicomCheckCalledAet": True,
        "DicomAlwaysAllowEcho": False,
        "DicomAlwaysAllowStore": False,
        "DicomAlwaysAllowFind": False,
        "DicomAlwaysAllowGet": False,
        "DicomCheckModalityHost": True,
        "DicomModalities": modalities or {},
        "DicomScpTimeout": 30,
        "DicomScuTimeout": 10,
        "StorageCommitmentReportsSize": 100,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": False},
        "HttpThreadsCount": 4,
        "ConcurrentJobs": 1,
    }
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    with running(str(ORTHANC), folder / "orthanc.json", log=folder / "log") as process:
        await_port(served.http_port, process)
        await_port(served.dicom_port, process)
        yield served


@contextmanager
def storescp(
    folder: Path, *options: str, title: str = "PACS", port: int | None = None
) -> Iterator[int]:
    """Run dcmtk's storescp, which writes what it gets to a folder; gives its port."""
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    log = folder.with_name(f"{folder.name}.log")
    tool = dcmtk_tool("storescp") or "storescp"
    words = (tool, "--aetitle", title, "--output-directory", folder, *options, str(port))
    with running(*words, log=log) as process:
        await_port(port, process)
        yield port


def dcmtk(tool: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run one of dcmtk's tools."""
    command = [dcmtk_tool(tool) or tool, *(str(word) for word in words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@dataclass(frozen=True)
class Certificates:
    """PEM files: an authority, a server's and a client's certificate of it, and a stranger's."""

    authority: Path
    server: tuple[Path, Path]
    client: tuple[Path, Path]
    stranger: tuple[Path, Path]


def certificates(folder: Path) -> Certificates:
    """Make certificates with openssl, for 127.0.0.1."""
    folder.mkdir(parents=True, exist_ok=True)

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    def signed(name: str, authority: str) -> tuple[Path, Path]:
        openssl("req", *NEW_KEY, "-nodes", "-keyout", f"{name}.key",
                "-out", f"{name}.csr", "-subj", f"/CN={name}")  # fmt: skip
        (folder / f"{name}.ext").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem",
                "-CAkey", f"{authority}.key", "-CAcreateserial", "-days", "30",
                "-extfile", f"{name}.ext", "-out", f"{name}.pem")  # fmt: skip
        return folder / f"{name}.pem", folder / f"{name}.key"

    for name in ("authority", "other"):
        files = "-keyout", f"{name}.key", "-out", f"{name}.pem"
        openssl("req", "-x509", *NEW_KEY, "-nodes", "-days", "30", *files, "-subj", f"/CN={name}")
    return Certificates(
        authority=folder / "authority.pem",
        server=signed("server", "authority"),
        client=signed("client", "authority"),
        stranger=signed("stranger", "other"),
    )


def study_uid(number: int) -> str:
    """The Study Instance UID of a numbered study."""
    return f"1.2.826.0.1.3680043.8.498.7.{number + 1}"


def nm_study(
    path: Path,
    number: int = 0,
    *,
    transfer_syntax: str = ExplicitVRLittleEndian,
    date: str = "20261102",
) -> Path:
    """A whole-body scan with both views, in a study of its own."""
    views = [
        dicom_files.paint_body(2 * number + side, rows=256, columns=64, posterior=bool(side))
        for side in (0, 1)
    ]
    dataset = dicom_files.ge_discovery(*views)
    dataset.PixelSpacing = ["7.2", "7.2"]
    identified(dataset, number, date=date)
    if transfer_syntax in NATIVE:
        return dicom_files.save(dataset, path, transfer_syntax=transfer_syntax)
    return dicom_files.save_compressed(dataset, path, transfer_syntax=transfer_syntax)


def identified(dataset: pydicom.Dataset, number: int, *, date: str = "20261102") -> None:
    """Give an object the UIDs and the date of a numbered study."""
    dataset.StudyInstanceUID = study_uid(number)
    dataset.SeriesInstanceUID = f"{study_uid(number)}.1"
    dataset.SOPInstanceUID = f"{study_uid(number)}.1.1"
    dataset.StudyDate = date
    dataset.PatientID = f"{dicom_files.PATIENT_ID}{number}"


def uids_in(folder: Path) -> list[str]:
    """The SOP Instance UIDs of the objects in a folder, sorted."""
    return sorted(
        str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)
        for path in folder.rglob("*")
        if path.is_file()
    )


@dataclass(frozen=True)
class Node:
    """A node that runs as a process of its own."""

    port: int
    queue: Path
    log: Path
    process: subprocess.Popen[bytes]

    def studies_in(self, state: str) -> list[Path]:
        """The studies in a state: `studies`, `classifying`, `answers` or `done`."""
        return sorted((self.queue / state).iterdir())

    def await_done(self, count: int, *, within_s: float = 300.0) -> list[Path]:
        """Wait until so many studies have ended."""
        deadline = time.monotonic() + within_s
        while len(self.studies_in("done")) < count:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)
        return self.studies_in("done")

    def send(self, *paths: Path, title: str = "STORESCU") -> subprocess.CompletedProcess[str]:
        """Send files with dcmtk, in the syntax that they have."""
        address = ("127.0.0.1", str(self.port))
        return dcmtk(
            "dcmsend", "--decompress-never", "-aet", title, "-aec", "BONESCINT", *address, *paths
        )

    def echo(self) -> bool:
        """Whether it answers C-ECHO."""
        return dcmtk("echoscu", "-aec", "BONESCINT", "127.0.0.1", str(self.port)).returncode == 0


@contextmanager
def node(
    folder: Path,
    *options: str,
    to: str = "PACS@127.0.0.1:1",
    by: str = "--answer-to",
    port: int = 0,
) -> Iterator[Node]:
    """Run `bonescint listen`; with port 0 any that is free."""
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    queue, log = folder / "queue", folder / "node.log"
    words = ("listen", "--port", str(port), "--queue", queue, by, to, *options)
    with running(sys.executable, "-m", "bonescint", *words, log=log) as process:
        await_port(port, process)
        yield Node(port=port, queue=queue, log=log, process=process)
