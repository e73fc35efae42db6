"""docs/results.md is what docs/results.json says."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("results", DOCS / "results.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(name):
    return (DOCS / name).read_text("utf-8")


def test_every_number_is_generated(script):
    results, published = json.loads(read("results.json")), json.loads(read("published.json"))
    assert script.page(results, published, read("results.template.md")) == read("results.md")


def test_every_number_of_warm_starts_is_generated(script):
    results, cold = json.loads(read("warm_results.json")), json.loads(read("results.json"))
    page = script.warm_page(results, cold, read("warm_results.template.md"))
    assert page == read("warm_results.md")
    assert "| weights-only from chance | 82.1 ± 1.0 |" in page


def test_figures_are_there():
    for path in re.findall(r"!\[.*?\]\((.*?)\)", read("results.md")):
        assert (DOCS / path).read_bytes().startswith(b"\x89PNG"), path


@pytest.mark.parametrize("name", ["results.json", "warm_results.json"])
def test_results_hold_no_text_of_the_data_sets(name):
    """Only figures may be published: the longest strings are the notes on splits."""
    results = json.loads(read(name))
    notes = [task["splits"] for task in results["tasks"].values()]

    def strings(value):
        if isinstance(value, dict):
            for key, part in value.items():
                yield from (key, *strings(part))
        elif isinstance(value, list):
            for part in value:
                yield from strings(part)
        elif isinstance(value, str):
            yield value

    allowed = {*notes, results["about"], *results["skipped"].values()}
    allowed |= {failure["reason"] for failure in results["failed"]}
    assert all(len(text) <= 60 or text in allowed for text in strings(results))
