"""What the site shows of docstrings; mkdocs.yml names this file to Griffe, which reads them."""

import re
from typing import Any

from griffe import Extension, Object


class AsThePackageWritesThem(Extension):
    """A docstring's `Example:` is what Griffe calls `Examples:`, and its links begin at its own file."""

    def on_object(self, *, obj: Object, **options: Any) -> None:
        if obj.docstring is not None:
            text = re.sub(r"^( *)Example:$", r"\1Examples:", obj.docstring.value, flags=re.M)
            obj.docstring.value = text.replace("](../docs/", "](../")
