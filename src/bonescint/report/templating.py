"""The one environment in which pages are made: everything that is put into one is escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bonescint.report.text import displayable

if TYPE_CHECKING:
    from jinja2 import BaseLoader, Environment


def page_environment(loader: BaseLoader) -> Environment:
    """An environment that escapes HTML in every template, whatever the template is called.

    Jinja's own helpers, and those of web frameworks, decide by the ending of a template's name,
    and leave `page.html.jinja` unescaped. A value that is not given is an error.

    Args:
        loader: of the templates.

    Examples:
        >>> from jinja2 import DictLoader
        >>> pages = page_environment(DictLoader({"a.html.jinja": "<p>{{ name }}</p>"}))
        >>> pages.get_template("a.html.jinja").render(name="<b>")
        '<p>&lt;b&gt;</p>'
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["displayable"] = displayable
    return environment
