from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bonescint.model import (
    ModelCard,
    ModelFolder,
    is_packaged,
    packaged_models,
    write_model_folder,
)
from bonescint.model import folder as folder_module
from bonescint.model.folder import LICENSE, METADATA, ONNX, README, shipped_model
from bonescint.scan import ModelFolderError, OutputError

FILES = (METADATA, ONNX, README, LICENSE)
REQUIRED_BY_MONAI = (
    "schema",
    "version",
    "monai_version",
    "pytorch_version",
    "numpy_version",
    "required_packages_version",
    "task",
    "description",
    "authors",
    "copyright",
    "network_data_format",
)


def test_what_was_written_is_read_back(folder: ModelFolder, card: ModelCard) -> None:
    again = ModelFolder.load(folder.path)
    assert again == folder
    assert again.card == card
    assert again.model_id == f"demo@1.2+{again.sha256[:8]}"
    assert again.onnx_path.is_file()


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_byte_is_found(folder: ModelFolder, name: str) -> None:
    file = folder.path / name
    content = bytearray(file.read_bytes())
    for position in range(0, len(content), max(1, len(content) // 97)):
        flipped = bytearray(content)
        flipped[position] ^= 1
        file.write_bytes(flipped)
        with pytest.raises(ModelFolderError) as refusal:
            ModelFolder.load(folder.path)
        assert name in str(refusal.value)
        assert "\n" not in str(refusal.value)
    file.write_bytes(content)
    ModelFolder.load(folder.path)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_or_cut_file_is_found(folder: ModelFolder, name: str) -> None:
    file = folder.path / name
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ModelFolderError, match=name):
        ModelFolder.load(folder.path)
    file.unlink()
    with pytest.raises(ModelFolderError, match=f"{name}: missing"):
        ModelFolder.load(folder.path)


def test_a_newer_schema_is_told_before_checksums(folder: ModelFolder) -> None:
    file = folder.path / METADATA
    content = json.loads(file.read_text())
    content["bonescint"]["card"]["schema_version"] = 99
    file.write_text(json.dumps(content))
    with pytest.raises(ModelFolderError, match=r"schema version 99.*Update bonescint"):
        ModelFolder.load(folder.path)


@pytest.mark.parametrize("content", ["[]", "{", "{}", '{"bonescint": 3}', "\udcff"])
def test_other_metadata_is_refused(folder: ModelFolder, content: str) -> None:
    (folder.path / METADATA).write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ModelFolderError, match=r"metadata\.json"):
        ModelFolder.load(folder.path)


def test_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="no such model folder"):
        ModelFolder.load(tmp_path / "nothing")


def test_a_listed_file_outside_is_refused(folder: ModelFolder) -> None:
    with pytest.raises(ModelFolderError, match="outside the folder"):
        folder_module._verify(folder.path, "../secret", "0")


def test_metadata_has_what_monai_requires(folder: ModelFolder) -> None:
    metadata = json.loads((folder.path / METADATA).read_text())
    assert set(REQUIRED_BY_MONAI) <= set(metadata)
    formats = metadata["network_data_format"]
    for port in (formats["inputs"]["scan"], *formats["outputs"].values()):
        assert {"type", "format", "num_channels", "spatial_shape", "dtype", "value_range"} <= set(
            port
        )
    assert formats["inputs"]["scan"]["spatial_shape"] == [64, 64]


def test_writing_again_replaces_whole(
    folder: ModelFolder, card: ModelCard, onnx_bytes: bytes
) -> None:
    more = {"docs/page.html": b"<p>"}
    write_model_folder(folder.path, card=card, onnx=onnx_bytes, more=more)
    (folder.path / ".DS_Store").write_text("")
    again = write_model_folder(folder.path, card=replace(card, version="2"), onnx=onnx_bytes)
    assert again.card.version == "2"
    assert not (folder.path / "docs" / "page.html").exists()
    assert [entry.name for entry in folder.path.parent.iterdir()] == ["model"]


def test_what_others_put_into_a_model_folder_stays(
    folder: ModelFolder, card: ModelCard, onnx_bytes: bytes
) -> None:
    note = folder.path / "docs" / "thesis.txt"
    note.write_text("mine")
    with pytest.raises(OutputError, match=r"holds something else, too \(docs/thesis.txt\)"):
        write_model_folder(folder.path, card=card, onnx=onnx_bytes)
    assert note.read_text() == "mine"
    assert ModelFolder.load(folder.path).card == folder.card
    note.unlink()
    for content in ("{}", '{"bonescint": {}}', "no JSON"):  # a bundle of another program
        (folder.path / "configs" / "metadata.json").write_text(content)
        with pytest.raises(OutputError, match="is not a model folder"):
            write_model_folder(folder.path, card=card, onnx=onnx_bytes)


def test_another_folder_is_not_overwritten(
    tmp_path: Path, card: ModelCard, onnx_bytes: bytes
) -> None:
    place = tmp_path / "thesis"
    place.mkdir()
    (place / "chapter1.tex").write_text("precious")
    with pytest.raises(OutputError, match="is not a model folder"):
        write_model_folder(place, card=card, onnx=onnx_bytes)
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="is a file"):
        write_model_folder(tmp_path / "file", card=card, onnx=onnx_bytes)
    with pytest.raises(OutputError, match="cannot be written"):
        write_model_folder(tmp_path / "file" / "below", card=card, onnx=onnx_bytes)


def test_a_failure_leaves_the_old_folder(
    folder: ModelFolder, card: ModelCard, onnx_bytes: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "write_bytes", fails)
    with pytest.raises(OutputError, match="No space left"):
        write_model_folder(folder.path, card=replace(card, version="2"), onnx=onnx_bytes)
    assert ModelFolder.load(folder.path).card.version == "1.2"
    assert [entry.name for entry in folder.path.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("name", list(packaged_models()))
def test_a_model_of_the_package_is_small_and_says_what_it_is(name: str) -> None:
    folder = ModelFolder.load(packaged_models()[name])
    assert folder.onnx_path.stat().st_size <= 16e6
    assert folder.card.precision == "int8"
    assert folder.ood is not None
    assert "simulated" in folder.card.training.origin
    licence = (folder.path / "LICENSE").read_text(encoding="utf-8")
    credited = any("ImageNet" in one for one in folder.card.attribution)
    assert ("https://creativecommons.org/licenses/by/4.0/" in licence) == credited


def test_the_shipped_model_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert ModelFolder.load("shipped").model_id == shipped_model().model_id
    assert ModelFolder.load(Path("shipped")).path == shipped_model().path
    (tmp_path / "shipped").mkdir()
    with pytest.raises(ModelFolderError, match=r"shipped/configs/metadata.json: missing.*hides"):
        ModelFolder.load("shipped")
    with pytest.raises(ModelFolderError, match="no such model folder"):
        ModelFolder.load("elsewhere/shipped")


def test_models_of_the_package_are_found_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder with a card beside the default one is another model of the package."""
    package = tmp_path / "package"
    shutil.copytree(shipped_model().path, package / "shipped")
    shutil.copytree(shipped_model().path, package / "another")
    (package / "no-model").mkdir()
    monkeypatch.setattr(folder_module.resources, "files", lambda _: package)
    monkeypatch.chdir(tmp_path)
    assert list(packaged_models()) == ["shipped", "another"]  # the default one is the first
    another = ModelFolder.load("another")
    assert another.path == package / "another"
    assert is_packaged(another)
    shutil.copytree(package / "another", tmp_path / "another")  # a folder of one's own goes first
    assert not is_packaged(ModelFolder.load("another"))
    assert ModelFolder.load("another").path == Path("another")
