"""A page of the API reference for each package, from its docstrings; a hook of MkDocs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

SOURCE = Path(__file__).parents[1] / "src" / "bonescint"


def modules() -> list[str]:
    """The package, its packages, and its modules beside them, but for the command line."""
    inner = [path.parent.name for path in SOURCE.glob("*/__init__.py")]
    beside = [path.stem for path in SOURCE.glob("*.py")]
    public = sorted(name for name in inner + beside if not name.startswith("_") and name != "cli")
    return ["bonescint", *(f"bonescint.{name}" for name in public)]


def on_config(config: MkDocsConfig, **_: Any) -> MkDocsConfig:
    """Put the pages into the navigation."""
    pages = [{name: f"api/{name}.md"} for name in modules()]
    assert config.nav is not None
    for entry in config.nav:
        if isinstance(entry, dict) and "API reference" in entry:
            entry["API reference"] = pages
    return config


def on_files(files: Files, config: MkDocsConfig, **_: Any) -> Files:
    """Write the pages; MkDocs holds them in memory."""
    for name in modules():
        content = f"# {name}\n\n::: {name}\n"
        files.append(File.generated(config, f"api/{name}.md", content=content))
    return files
