"""The documentation's site: built strictly, whole, and asking no other host for anything."""

import functools
import importlib
import os
import re
import subprocess
import types
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from browsers import requested, served, wait_for

import beex_keras as beex

ROOT = Path(__file__).parents[1]
MKDOCS = ROOT / "build" / "site-env" / "bin" / "mkdocs"
MODULES = (
    *("data", "evaluation", "evaluation.plots", "exits", "export", "export.beex", "export.mcu"),
    *("layers", "losses", "metrics", "models", "pretrained", "quantizers", "runtime", "text"),
    "training",
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not MKDOCS.exists(), reason="no MkDocs: make docs sets it up"),
]


class Html(HTMLParser):
    """The links and anchors of a page, and what a browser loads for it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        self.anchors.add(values.get("id", ""))
        if tag == "a":
            self.links.append(values.get("href", ""))
        elif tag in ("link", "script", "img", "iframe", "source"):
            self.loads.append(values.get("src") or values.get("href", ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [MKDOCS, "build", "--strict", "--site-dir", folder]
    # No proxy answers, so that nothing can be had from elsewhere while it is built.
    offline = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    environment = {**os.environ, **offline, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "true"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return folder


@pytest.fixture(scope="module")
def html(site) -> dict[Path, Html]:
    return {path: Html(path.read_text("utf-8")) for path in site.rglob("*.html")}


def test_links_and_anchors_hold(site, html):
    broken = []
    for path, page in html.items():
        for link in page.links + page.loads:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or path.name == "404.html":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            anchor = unquote(parts.fragment)
            if not target.exists() or (
                anchor and target in html and anchor not in html[target].anchors
            ):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert not broken


def test_no_page_loads_anything_from_another_host(site, html):
    assert not [load for page in html.values() for load in page.loads if urlsplit(load).netloc]
    styles = "".join(path.read_text("utf-8") for path in site.rglob("*.css"))
    assert not re.findall(r"url\(['\"]?(?:https?:)?//|@import", styles)


def test_every_page_can_be_found(site, html):
    """From the home page, by links."""
    found, new = set(), {(site / "index.html").resolve()}
    while new:
        found |= new
        links = {
            (path.parent / urlsplit(link).path).resolve()
            for path in new
            for link in html[path].links + html[path].loads
            if not urlsplit(link).scheme and urlsplit(link).path
        }
        new = {path for path in links if path in html} - found
    assert {path for path in html if path.name != "404.html"} <= found


# === Reference ===


def public_names() -> Iterator[tuple[str, object]]:
    """Names that a program may use, by the package's stubs and modules."""
    yield from ((f"beex_keras.{name}", getattr(beex, name)) for name in beex.__all__)
    for name in MODULES:
        module = importlib.import_module(f"beex_keras.{name}")
        for key in getattr(module, "__all__", vars(module)):
            value = getattr(module, key)
            own = getattr(value, "__module__", None) == module.__name__
            if not key.startswith("_") and (hasattr(module, "__all__") or own):
                yield f"beex_keras.{name}.{key}", value


def resolve(path: str) -> object:
    parts = path.split(".")
    for count in range(len(parts), 0, -1):
        try:
            value: object = importlib.import_module(".".join(parts[:count]))
        except ImportError:
            continue
        try:
            return functools.reduce(getattr, parts[count:], value)
        except AttributeError:
            return None
    return None


def test_every_public_name_is_in_the_reference(html):
    """By itself or under another name of the same object."""
    names = {a for page in html.values() for a in page.anchors if a.startswith("beex_keras.")}
    shown = [resolve(name) for name in names]
    missing = [
        name
        for name, value in public_names()
        if not isinstance(value, types.ModuleType)
        and name not in names
        and not any(value is other for other in shown)
    ]
    assert missing == ["beex_keras.__version__"]


@pytest.mark.parametrize("command", ["train", "calibrate", "evaluate", "predict", "convert"])
def test_every_command_is_in_the_reference(html, site, command):
    page = html[site / "reference" / "command_line.html"]
    assert any(anchor.endswith(command) for anchor in page.anchors)


def test_every_function_of_the_c_interface_is_in_the_reference(html, site):
    header = (ROOT / "tflite" / "engine" / "beex.h").read_text("utf-8")
    functions = set(re.findall(r"^BEEX_API [\w *]*?\*?(?:const \*)?(beex_\w+)\(", header, re.M))
    assert {"beex_open", "beex_self_test", "beex_available_kernels"} <= functions
    assert functions <= html[site / "reference" / "c.html"].anchors


# === In a browser ===


def test_no_request_fails_and_search_finds(site, browser):
    with served(site) as address:
        for page in ("quickstart", "design", "results", "reference/beex_keras", "index"):
            browser.get(f"{address}/{page}.html")
            width = browser.execute_script("return document.documentElement.scrollWidth")
            assert width <= browser.execute_script("return window.innerWidth"), page
        box = browser.find_element("css selector", ".md-search__input")
        browser.execute_script("arguments[0].focus()", box)
        box.send_keys("overthinking")
        found = wait_for(lambda: browser.find_elements("css selector", ".md-search-result__link"))
        assert any("glossary" in link.get_attribute("href") for link in found)
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert requested(browser) == {address}
