"""Where the scripts, styles and templates of the pane lie, and how a server serves them."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.applications import Starlette

STATIC = Path(str(resources.files("bonescint.viewer"))) / "static"
"""Scripts and styles. A page's own scripts import them by their place in the package, such as
`../../../viewer/static/viewer.js`: Node finds them so, and a browser, for which `..` ends at the
root of the server, finds them at `/viewer/static/`."""

TEMPLATES = STATIC.parent / "templates"
"""`scan.html.jinja`: both panes and the strip below them, to be included by a page."""


def mount_viewer(app: Starlette) -> None:
    """Serve the pane's scripts and styles at `/viewer/static`.

    Examples:
        >>> from starlette.applications import Starlette
        >>> app = Starlette()
        >>> mount_viewer(app)
        >>> [route.path for route in app.routes]
        ['/viewer/static']
    """
    from starlette.staticfiles import StaticFiles

    app.mount("/viewer/static", StaticFiles(directory=STATIC), name="viewer")
