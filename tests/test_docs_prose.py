"""What the documentation names is there: links, files, commands and their options, names of Python."""

import importlib
import re
import shlex

import click
import pages
import pytest
from pages import PAGES, ROOT
from programs import has_options, makefile_has, script

import beex_keras as beex
from beex_keras.cli.app import app

TFLITE = ROOT / "tflite"
SUFFIXES = (".c", ".cc", ".h", ".inc", ".ipynb", ".ld", ".md", ".py", ".sh", ".toml")
GENERATED = {"build/beex.h", "beex.h", "model.h", "model.c", "model.mk"}
"""What commands write."""


@pytest.mark.parametrize("page", PAGES)
def test_links(page):
    for link in pages.links(pages.read(page)[1]):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = PAGES[page].parent / path if path else PAGES[page]
        assert target.exists(), link
        assert not anchor or anchor in pages.anchors(target), link


@pytest.mark.parametrize("page", PAGES)
def test_code_in_prose(page):
    for span in pages.spans(pages.read(page)[1]):
        try:
            words = shlex.split(span)
        except ValueError:  # an apostrophe: no command
            continue
        assert look_up(page, words), f"`{span}`"


def test_the_readme_stays_short():
    """And has its figures in a table."""
    lines = pages.PAGES["README.md"].read_text("utf-8").splitlines()
    prose = re.sub(r"\]\(.*?\)", "]", " ".join(line for line in lines if line[:1] != "|"))
    assert len(lines) <= 100
    assert len(re.findall(r"\b\d[\d.,]*(?=\W)", prose)) <= 12


def look_up(page: str, words: list[str]) -> bool:
    """Whether what the words name is there, if they name something of ours."""
    first = words[0] if words else ""
    if first == "beex" and len(words) > 1 and not words[1].isupper():
        if words[1].startswith("-"):
            return {*words[1:]} <= {name for option in app.params for name in option.opts}
        command = app.commands.get(words[1])
        return command is not None and has_options(command, words[2:])
    if first == "make" and len(words) > 1:
        words = words[1 : words.index("<")] if "<" in words else words[1:]
        return makefile_has([ROOT / "Makefile", TFLITE / "firmware" / "Makefile"], words)
    if first == "python":
        return look_up(page, words[1:])
    if first == "beexrun":
        program = (TFLITE / "beexrun.c").read_text("utf-8")
        return all(f'"{word}"' in program for word in words if word.startswith("--"))
    if first.startswith(("benchmarks/", "tools/", "docs/")) and len(words) > 1:
        return (ROOT / first).exists() and has_options(script(first), words[1:])
    if re.match(r"beex_keras\.\w", first):
        return is_name(re.match(r"[\w.]+", first)[0])
    if first.startswith("--"):
        commands = [*app.commands.values(), *own_scripts(page)]
        return any(has_options(command, words) for command in commands)
    if len(words) == 1 and (first.endswith(SUFFIXES) or first.startswith(TOP)):
        return first in GENERATED or exists(re.sub(r"[A-Z]{2,}", "*", first))
    return True


TOP = ("beex_keras/", "benchmarks/", "docs/", "tests/", "tflite/", "tools/")
SCRIPTS = (
    *("benchmarks/agreement.py", "benchmarks/engine", "benchmarks/mcu", "benchmarks/suite"),
    *("benchmarks/throughput.py", "benchmarks/web.py"),
    *("examples/classify_parquet.py", "tools/ship"),
)


def own_scripts(page: str) -> list[click.Command]:
    """Those that a page names, whose options may stand alone."""
    text = PAGES[page].read_text("utf-8")
    return [command for path in SCRIPTS if path in text and (command := script(path))]


def exists(pattern: str) -> bool:
    """Whether a file of that name is here: in the checkout, or in a folder that pages speak of."""
    package = ROOT / "beex_keras"
    folders = (
        ROOT,
        TFLITE,
        *TFLITE.glob("*/"),
        ROOT / "benchmarks" / "engine",
        package / "pretrained",
        package / "training",
    )
    return any(next(folder.glob(pattern.rstrip("/")), None) for folder in folders)


def is_name(path: str) -> bool:
    """Whether `beex_keras.a.b` can be had, from the package or by an import."""
    value = beex
    for part in path.split(".")[1:]:
        try:
            value = getattr(value, part)
        except AttributeError:
            try:
                value = importlib.import_module(f"{value.__name__}.{part}")
            except ImportError:
                return False
    return True
