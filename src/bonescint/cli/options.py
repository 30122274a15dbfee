"""Options that several commands share, each with its help."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bonescint.cli.group import refuse_unread

if TYPE_CHECKING:
    from bonescint.evaluate import OperatingRule as Rule

Sources = Annotated[
    list[Path],
    typer.Argument(help="Files, folders, ZIP archives, s3://bucket/folder.", metavar="SOURCES"),
]
Model = Annotated[
    Path, typer.Argument(help="Model folder, or a name of bonescint model list.", metavar="MODEL")
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON, and nothing else, on standard output.")
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of everything that is random.")]
AnyWorkers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=0,
        max=256,
        help="Worker processes; 0 works in one process.",
        show_default="as many as cores, at most 8",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1, max=256, help="Worker processes.", show_default="as many as cores, at most 8"
    ),
]
Device = Annotated[
    Literal["cpu", "gpu", "auto", "cuda"],
    typer.Option(
        help="Device of the network: cpu; gpu, an Intel GPU; auto, such a GPU if there is one; "
        "cuda, an NVIDIA GPU, which needs pip install onnxruntime-gpu."
    ),
]
TrainingDevice = Annotated[
    Literal["cpu", "gpu", "auto"],
    typer.Option(
        help="Device of the training: cpu; gpu, one that torch sees; auto, a GPU if there is one."
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        help="ImageNet weights (Keras .h5, torchvision .pth, .safetensors) for VGG16.",
        show_default="fetched once",
    ),
]
Track = Annotated[
    Literal["none", "tensorboard", "mlflow"],
    typer.Option(
        help="Also log the training there, in a local folder; needs pip install "
        "'bonescint[tracking]'."
    ),
]
AtLeast = Annotated[
    float | None,
    typer.Option(
        min=0.01,
        max=1,
        help="Specificity or sensitivity to reach, for the rule of that name; 0.9 unless given.",
    ),
]
OperatingRule = Annotated[
    Literal["balanced", "youden", "specificity", "sensitivity"],
    typer.Option(help="How the operating point is chosen."),
]
IgnoreUnknown = Annotated[
    bool,
    typer.Option(
        "--ignore-unknown", help="Leave out predictions of scans that the manifest lacks."
    ),
]
Open = Annotated[bool, typer.Option("--open/--no-open", help="Show it in the browser.")]
Pictures = Annotated[
    bool | None,
    typer.Option(
        "--pictures/--no-pictures",
        help="Draw a picture of each scan; needed for --dicom and --fhir.",
        show_default="they are drawn, but not with Ray",
    ),
]
Engine = Annotated[
    Literal["local", "ray"], typer.Option(help="Classify on this machine, or on a Ray cluster.")
]
ReaderStudy = Annotated[Path, typer.Argument(help="Folder of the reader study.", metavar="STUDY")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any that is free.")]
PositiveOrNone = Annotated[int | None, typer.Option(min=1)]
Radius = Annotated[
    float,
    typer.Option(min=0, max=200, help="Distance within which a mark hits a metastasis, mm."),
]
Database = Annotated[
    str,
    typer.Option(
        envvar="BONESCINT_STUDY_DATABASE",
        help="URL of an empty PostgreSQL database for the store.",
        show_default="SQLite in the study folder",
    ),
]


def operating_rule(name: str, at_least: float | None) -> Rule:
    """The rule of an operating point by its name on the command line.

    Raises:
        typer.BadParameter: a share to reach for a rule that has none.
    """
    refuse_unread({"at_least": ("--rule specificity", "--rule sensitivity")}, {f"--rule {name}"})
    from bonescint.evaluate import Balanced, GivenSensitivity, GivenSpecificity, Youden

    at_least = 0.9 if at_least is None else at_least
    rules: dict[str, Rule] = {
        "balanced": Balanced(),
        "youden": Youden(),
        "specificity": GivenSpecificity(at_least),
        "sensitivity": GivenSensitivity(at_least),
    }
    return rules[name]


def require_existing(path: Path | None) -> None:
    """Refuse a path at which there is nothing.

    Raises:
        InputError: there is nothing.
    """
    from bonescint.scan import InputError

    if path is not None and not path.exists():
        raise InputError(path, "no such file or folder", "Check the path")
