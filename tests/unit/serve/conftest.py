"""Peers that the tests of the transport share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("pynetdicom", reason="needs the extra 'pacs'")
pytest.importorskip("dicomweb_client", reason="needs the extra 'pacs'")

from tests.support import pacs_peers


@pytest.fixture(scope="session")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pacs_peers.Orthanc]:
    """An Orthanc that lets BONESCINT store."""
    if pacs_peers.ORTHANC is None or pacs_peers.PLUGIN is None:
        pytest.skip("orthanc-dicomweb is not installed")
    modalities = {"bonescint": ["BONESCINT", "127.0.0.1", 4242]}
    with pacs_peers.orthanc(tmp_path_factory.mktemp("orthanc"), modalities=modalities) as served:
        yield served


@pytest.fixture
def empty_pacs(pacs: pacs_peers.Orthanc) -> pacs_peers.Orthanc:
    """The same without any study."""
    pacs.forget()
    return pacs


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> pacs_peers.Certificates:
    return pacs_peers.certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three whole-body scans, each a study of its own."""
    folder = tmp_path_factory.mktemp("scans")
    for number in range(3):
        pacs_peers.nm_study(folder / f"{number}.dcm", number)
    return folder
