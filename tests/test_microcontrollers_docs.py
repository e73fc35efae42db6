"""docs/microcontrollers.md is what docs/microcontrollers.json says."""

import importlib.util
import json
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"


def read(name):
    return (DOCS / name).read_text("utf-8")


def test_every_number_is_generated():
    spec = importlib.util.spec_from_file_location("page", DOCS / "microcontrollers.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    results = json.loads(read("microcontrollers.json"))
    assert script.page(results, read("microcontrollers.template.md")) == read("microcontrollers.md")
    assert (DOCS / "microcontrollers.png").read_bytes().startswith(b"\x89PNG")
