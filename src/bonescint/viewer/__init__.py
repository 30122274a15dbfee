"""The pane in which pages show a scan: its pixels for the browser, the scripts, the styles.

Layer 1: numpy; Starlette only where a server mounts the files. What shows a model's map over
the scan is made by `bonescint.explain.shown_output`.
"""

from bonescint.viewer.files import STATIC, TEMPLATES, mount_viewer
from bonescint.viewer.picture import Picture, scan_of, unpacked
from bonescint.viewer.window import GreyWindow, grey_window

__all__ = [
    "STATIC",
    "TEMPLATES",
    "GreyWindow",
    "Picture",
    "grey_window",
    "mount_viewer",
    "scan_of",
    "unpacked",
]
