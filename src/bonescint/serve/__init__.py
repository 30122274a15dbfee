"""Beside a PACS: send and fetch objects, and a node that classifies the studies that it receives.

Layer 5. Needs the extra `pacs`, and the HTTP service the extra `serve`. Modules are imported by
their own names, so that what one needs is not loaded for another.
"""
