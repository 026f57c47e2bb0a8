"""What the HTML pages have in common: how their templates are read, and a picture inside a page."""

import base64
from typing import Any

from markupsafe import Markup


def environment(**functions: Any) -> Any:
    """Jinja's environment with the templates of this folder: everything is escaped, a missing name is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    found = Environment(
        loader=PackageLoader("iqa.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.globals.update(functions)
    return found


def picture(content: bytes, kind: str) -> Markup:
    """A picture as the address of itself; kind: png, jpeg."""
    return Markup(f"data:image/{kind};base64,{base64.b64encode(content).decode()}")
