"""The model folder: an ONNX file with its card, checked by hash, as `monai.bundle` takes it."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from bonescint.files import OF_THE_SYSTEM, cannot_write, folder_beside, json_in
from bonescint.model.card import ModelCard
from bonescint.model.ood import OodDetector
from bonescint.model.readme import readme_of
from bonescint.scan import ModelFolderError, OutputError, os_reason

SHIPPED = "shipped"
"""The name of the default one of the models that come with this package."""
METADATA = "configs/metadata.json"
ONNX = "models/model.onnx"
OOD_FILE = "models/ood.npz"
_OOD_FILES = (OOD_FILE, "models/likeness.npz")
"""The second name is the one of release 0.1."""
WEIGHTS = "models/weights.safetensors"
README = "docs/README.md"
LICENSE = "LICENSE"
_AGAIN = "Train or download the model again"
_UNSEALED = "<sha256 of this file while this stood here>"
_HASH_DIGITS = 64
_LICENSE_TEXT = """This model folder is licensed under the Apache License, Version 2.0
(https://www.apache.org/licenses/LICENSE-2.0).
"""
_IMAGENET_TEXT = """
The convolutions start from VGG16's ImageNet weights: Simonyan and Zisserman 2014, Visual
Geometry Group, University of Oxford (https://www.robots.ox.ac.uk/~vgg/research/very_deep/),
licensed under CC BY 4.0
(https://creativecommons.org/licenses/by/4.0/); they were changed by training.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFolder:
    """A verified model folder.

    Attributes:
        path: the folder.
        card: card of the model.
        sha256: hash of the ONNX file.
        ood: detects inputs that are unlike the training cohort; `None` in a folder without it.
        weights_path: the network's weights in float16, to continue training from, or `None` in a
            folder without them: that of the shipped model, or one of release 0.1.
    """

    path: Path
    card: ModelCard
    sha256: str
    ood: OodDetector | None = None
    weights_path: Path | None = None

    @property
    def onnx_path(self) -> Path:
        """The ONNX file."""
        return self.path / ONNX

    def read_weights(self) -> bytes | None:
        """The content of the weights' file, for a folder that holds the same network."""
        return None if self.weights_path is None else self.weights_path.read_bytes()

    @property
    def model_id(self) -> str:
        """Name, version and the start of the ONNX file's hash."""
        return f"{self.card.name}@{self.card.version}+{self.sha256[:8]}"

    @property
    def content_sha256(self) -> str:
        """Hash of the metadata file: of the card, and of the hashes of all other files."""
        return hashlib.sha256((self.path / METADATA).read_bytes()).hexdigest()

    @classmethod
    def load(cls, path: Path | str) -> ModelFolder:
        """Read a model folder and verify every file that it lists.

        Args:
            path: the folder, or the name of one of `packaged_models()`.

        Returns:
            The folder with its card.

        Raises:
            ModelFolderError: something is missing, was altered, or has a newer schema; one
                line names the file.
        """
        folder = model_path(path)
        if not folder.is_dir():
            raise ModelFolderError(
                f"{folder}: no such model folder. Give a folder with {METADATA}."
            )
        if str(path) in packaged_models() and not (folder / METADATA).is_file():
            raise ModelFolderError(
                f"{folder / METADATA}: missing. This folder hides bonescint's model '{path}': "
                "rename it, or run the command in another folder."
            )
        metadata = _metadata(folder)
        section = metadata.get("bonescint")
        if not isinstance(section, dict):
            raise ModelFolderError(
                f"{folder / METADATA}: written by another program: it has no bonescint card. "
                "Give a folder that bonescint train wrote."
            )
        # The schema first: a newer one may list the files differently.
        card = ModelCard.from_json(_mapping(section.get("card")), source=str(folder / METADATA))
        hashes = _mapping(section.get("files"))
        if ONNX not in hashes:
            raise ModelFolderError(f"{folder / METADATA}: does not list {ONNX}. {_AGAIN}.")
        if not _is_sealed(folder / METADATA, section.get("sha256")):
            raise ModelFolderError(
                f"{folder / METADATA}: wrong checksum: it was changed since it was written. "
                f"{_AGAIN}."
            )
        for name, expected in hashes.items():
            _verify(folder, str(name), str(expected))
        ood = next((_ood(folder / name, card) for name in _OOD_FILES if name in hashes), None)
        return cls(
            path=folder,
            card=card,
            sha256=str(hashes[ONNX]),
            ood=ood,
            weights_path=folder / WEIGHTS if WEIGHTS in hashes else None,
        )


def _ood(file: Path, card: ModelCard) -> OodDetector:
    detector = OodDetector.from_bytes(file.read_bytes(), source=str(file))
    if detector.preprocessing != card.preprocessing.identifier:
        raise ModelFolderError(
            f"{file}: was fitted on scans prepared by {detector.preprocessing}, the model's "
            f"preprocessing is {card.preprocessing.identifier}. {_AGAIN}."
        )
    return detector


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _metadata(folder: Path) -> Mapping[str, Any]:
    file = folder / METADATA
    try:
        content = json_in(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelFolderError(f"{file}: missing. {_AGAIN}.") from error
    except (OSError, ValueError) as error:
        raise ModelFolderError(f"{file}: not readable as JSON ({error}). {_AGAIN}.") from error
    if not isinstance(content, dict):
        raise ModelFolderError(f"{file}: not a JSON object. {_AGAIN}.")
    return content


def _verify(folder: Path, name: str, expected: str) -> None:
    relative = PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts:
        raise ModelFolderError(f"{folder / METADATA}: lists a file outside the folder ({name}).")
    file = folder / relative
    try:
        with file.open("rb") as stream:
            actual = hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise ModelFolderError(f"{file}: missing. {_AGAIN}.") from error
    except OSError as error:
        raise ModelFolderError(f"{file}: cannot be read ({os_reason(error)}). {_AGAIN}.") from error
    if actual != expected:
        raise ModelFolderError(
            f"{file}: wrong checksum: sha256 {actual[:12]}... instead of {expected[:12]}.... "
            f"{_AGAIN}."
        )


def _sealed(text: str) -> str:
    """Replace the placeholder by the hash of the text."""
    return text.replace(_UNSEALED, hashlib.sha256(text.encode()).hexdigest(), 1)


def _is_sealed(file: Path, seal: object) -> bool:
    """Whether a file contains its own hash, computed with the placeholder in its place."""
    if not isinstance(seal, str) or len(seal) != _HASH_DIGITS:
        return False
    unsealed = file.read_bytes().replace(seal.encode(), _UNSEALED.encode(), 1)
    return hashlib.sha256(unsealed).hexdigest() == seal


def write_model_folder(
    path: Path | str,
    *,
    card: ModelCard,
    onnx: bytes,
    ood: OodDetector | None = None,
    weights: bytes | None = None,
    more: Mapping[str, bytes] | None = None,
) -> ModelFolder:
    """Write a model folder under another name, then move it into place in one step.

    Args:
        path: the folder to write; an existing one is replaced if it holds a model and nothing else.
        card: card of the model.
        onnx: the serialised ONNX model.
        ood: detects inputs that are unlike the training cohort; fitted with the card's
            preprocessing.
        weights: the network's, as `to_safetensors` gives them.
        more: other files by their paths in the folder, such as a page of figures.

    Returns:
        The folder, read back and verified.

    Raises:
        OutputError: the folder cannot be written, or holds something other than a model.
    """
    target = Path(path)
    require_writable(target)
    files = {
        ONNX: onnx,
        README: readme_of(card, ood, has_weights=weights is not None).encode(),
        LICENSE: (_LICENSE_TEXT + (_IMAGENET_TEXT if _from_imagenet(card) else "")).encode(),
        **(more or {}),
    }
    if ood is not None:
        files[OOD_FILE] = ood.to_bytes()
    if weights is not None:
        files[WEIGHTS] = weights
    text = json.dumps(_bundle_metadata(card, files), indent=2, ensure_ascii=False)
    files[METADATA] = _sealed(text + "\n").encode()
    with folder_beside(target, replacing=True) as beside:
        for name, content in files.items():
            file = beside / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    return ModelFolder.load(target)


def require_writable(path: Path | str) -> None:
    """Check before any work begins that a model folder can be written here.

    Args:
        path: path of the folder.

    Raises:
        OutputError: it holds something else, or its parent cannot be written.
    """
    target = Path(path)
    remedy = "Choose another place for the model"
    if target.exists() and not target.is_dir():
        raise OutputError(f"{target}: is a file. {remedy}.")
    if target.exists() and any(target.iterdir()):
        listed = _listed(target)
        if not listed:
            raise OutputError(f"{target}: exists and is not a model folder. {remedy}.")
        files = (one for one in target.rglob("*") if not one.is_dir())
        found = {
            one.relative_to(target).as_posix() for one in files if one.name not in OF_THE_SYSTEM
        }
        if other := sorted(found - listed):
            raise OutputError(f"{target}: holds something else, too ({other[0]}). {remedy}.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise cannot_write(target, error) from error


def _listed(folder: Path) -> frozenset[str]:
    """The files that a model folder lists; none if it is no model folder."""
    try:
        section = _mapping(_metadata(folder).get("bonescint"))
    except ModelFolderError:
        return frozenset()
    files = _mapping(section.get("files"))
    return frozenset({METADATA, *files}) if files else frozenset()


def _from_imagenet(card: ModelCard) -> bool:
    """Whether the card credits VGG16's weights."""
    return any("ImageNet" in credit for credit in card.attribution)


def _bundle_metadata(card: ModelCard, files: Mapping[str, bytes]) -> dict[str, Any]:
    """The fields that MONAI's bundle schema requires, then our card and the files' hashes."""
    rows, columns = card.preprocessing.rows, 2 * card.preprocessing.columns
    software = card.software
    image = {
        "type": "image",
        "format": "magnitude",
        "modality": "NM",
        "num_channels": 1,
        "spatial_shape": [rows, columns],
        "dtype": "float32",
        "value_range": [0, 1],
        "is_patch_data": False,
        "channel_def": {"0": "composite: anterior left, posterior right"},
    }
    logits = {
        "type": "logits",
        "format": "classification",
        "num_channels": 2,
        "spatial_shape": [],
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": False,
        "channel_def": {"0": "no metastatic bone disease", "1": "metastatic bone disease"},
    }
    maps = {
        "type": "feature",
        "format": card.evidence_map.kind,
        "num_channels": 2,
        "spatial_shape": [rows // card.evidence_map.cell, columns // card.evidence_map.cell],
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": False,
        "channel_def": {"0": "for no metastatic bone disease", "1": "for the disease"},
    }
    return {
        "schema": "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/"
        "0.8.1/meta_schema_20240725.json",
        "version": card.version,
        "changelog": {card.version: f"written {card.created}"},
        "monai_version": "1.4.0",
        "pytorch_version": software.get("torch", "not used"),
        "numpy_version": software.get("numpy", np.__version__),
        "required_packages_version": {"openvino": software.get("openvino", "2026.0.0")},
        "name": card.name,
        "task": "Classification of whole-body bone scintigraphy: metastatic bone disease or not",
        "description": card.architecture,
        "authors": "The bonescint developers",
        "copyright": "The bonescint developers"
        + ("; VGG16 weights: Visual Geometry Group, CC BY 4.0" if _from_imagenet(card) else ""),
        "intended_use": card.intended_use,
        "data_type": "dicom",
        "network_data_format": {
            "inputs": {"scan": image},
            "outputs": {"logits": logits, "maps": maps},
        },
        "bonescint": {
            "card": card.to_json(),
            "sha256": _UNSEALED,
            "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        },
    }


def packaged_models() -> dict[str, Path]:
    """The folders of the models that come with this package, by name, the default one first.

    Examples:
        >>> next(iter(packaged_models()))
        'shipped'
    """
    root = Path(str(resources.files("bonescint.model")))
    folders = sorted(metadata.parents[1] for metadata in root.glob(f"*/{METADATA}"))
    return {folder.name: folder for folder in sorted(folders, key=lambda one: one.name != SHIPPED)}


def model_path(name: Path | str) -> Path:
    """The path of a model folder, or of one that comes with this package, by its name.

    Raises:
        ModelFolderError: this build of the package comes without the default model.

    Examples:
        >>> model_path("my-model").name, model_path("shipped").name
        ('my-model', 'shipped')
    """
    path = Path(name)
    if path.exists():
        return path
    return _shipped() if path == Path(SHIPPED) else packaged_models().get(str(path), path)


def is_packaged(folder: ModelFolder) -> bool:
    """Whether a model folder comes with this package, and so is never changed."""
    return folder.path in packaged_models().values()


def shipped_model() -> ModelFolder:
    """The default model of this package.

    Returns:
        The model folder inside the package.

    Raises:
        ModelFolderError: this build of the package comes without one, or it was altered.
    """
    return ModelFolder.load(_shipped())


def _shipped() -> Path:
    folder = packaged_models().get(SHIPPED)
    if folder is None:
        raise ModelFolderError(
            f"{resources.files('bonescint.model')}: this build of bonescint comes without a model. "
            "Give one with --model DIR, for instance one that bonescint train wrote."
        )
    return folder
