"""What MkDocs does for the site beside its plugins; mkdocs.yml names this file.

Pages lie where a reader of the repository looks for them, and so do their links. The site takes those
outside `docs` in, shows notebooks and linked source files as pages, and turns links accordingly.
"""

import json
import posixpath
import re
from base64 import b64decode
from functools import cache
from itertools import cycle
from pathlib import Path

import header
import latex2mathml.converter
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

log = get_plugin_logger("site")
ROOT = Path(__file__).parents[2]

PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "tflite/micro/README.md": "tflm.md",
    "tflite/firmware/README.md": "firmware.md",
}
"""Pages outside `docs`, and where the site has them."""

PLAYGROUND = ROOT / "build" / "web" / "playground"
"""What `make web` builds; without it the site has no playground."""

LANGUAGES = {".c": "c", ".cc": "cpp", ".h": "c", ".py": "python"}
_FENCE = re.compile(r"(^```.*?^```$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"<mo>([a-z]{2,})</mo>(<mo[^<>]*>&#x00028;</mo>)")
_WORD = re.compile(r"(<mi>[a-z]{2,}</mi>)(?=<mi>|<msub>)")
_SIGN = re.compile(
    r"(<mo[^<>]*>(?:&#x0(?:0028|007B|002C|003C|003D|2264|2265|2190);|\{)</mo>)<mo>(&#x02212;|&#x0002B;)</mo>"
)
_BAR = re.compile(r'<mo(?: stretchy="false")?>&#x0(007C|2016);</mo>')
_LINK = re.compile(r"(\[[^\[\]]*)?\]\((?!\w+:|#|/)([^()\s#]+)")
"""What a link begins with: its label, if no code is in it, and the path."""


def sources() -> dict[str, str]:
    """Files of the repository that are pages of the site, and their names there."""
    found = {
        path.relative_to(ROOT).as_posix(): path.relative_to(ROOT / "docs").as_posix()
        for path in (ROOT / "docs").rglob("*.*")
    }
    found |= PAGES
    for path in sorted((ROOT / "beex_keras" / "pretrained").glob("*.md")):
        found[path.relative_to(ROOT).as_posix()] = f"models/{path.name}"
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        found[path.relative_to(ROOT).as_posix()] = f"tutorials/{path.stem}.md"
    if PLAYGROUND.exists():
        found["build/web/playground/index.html"] = "playground/page.md"
    return found


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Puts the pages of a folder in its place in the navigation."""
    config.nav = _expanded(config.nav)
    return config


def _expanded(nav: list) -> list:
    found = []
    for item in nav:
        if isinstance(item, str) and item.endswith("/"):
            found += sorted(name for name in sources().values() if name.startswith(item))
        elif isinstance(item, dict):
            ((title, value),) = item.items()
            found.append({title: _expanded(value) if isinstance(value, list) else value})
        else:
            found.append(item)
    return found


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages outside `docs`, and the files that any page links to."""
    known = sources()
    texts = {}
    for source, name in list(known.items()):
        if source.endswith(".ipynb"):
            texts[name] = _notebook(ROOT / source, name, files, known, config)
        elif name == "playground/page.md":
            texts[name] = _playground(files, config)
        elif source.endswith(".md"):
            texts[name] = (ROOT / source).read_text("utf-8")
    config.extra["sources"] = {name: source for source, name in known.items()}
    for name, text in texts.items():
        for path in _links(text, config.extra["sources"][name]):
            if path not in known and (ROOT / path).is_file():
                known[path] = _source(path, files, config)
        if files.get_file_from_path(name) is None:
            files.append(File.generated(config, name, content=text))
    config.extra["names"] = known
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns links to files of the repository into links to their pages."""
    name = page.file.src_uri
    source = config.extra["sources"].get(name)
    if source is None:  # a page made of a source file
        return markdown
    names, known = config.extra["names"], config.extra["sources"].values()

    def turned(link: re.Match) -> str:
        label, path = link[1] or "", link[2]
        target = _resolve(path, source)
        if target not in names:
            log.warning("%s links to %s, which is no file", source, path)
            return link[0]
        if label and target.endswith(label[1:]) and target in known:
            label = f"[{_title(target) or label[1:]}"
        return f"{label}]({posixpath.relpath(names[target], posixpath.dirname(name))}"

    parts = _FENCE.split(markdown)
    parts[::2] = [_LINK.sub(turned, part) for part in parts[::2]]
    return header.with_declarations("".join(parts))


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns LaTeX into MathML, which browsers show without a script, and empties empty cells."""

    def formula(found: re.Match) -> str:
        code = found[2].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        display = "block" if found[1] == "div" else "inline"
        return _spaced(latex2mathml.converter.convert(code[2:-2], display=display))

    html = html.replace("<code>Sentinel.UNSET</code>", "")  # mkdocs-click's word for no default
    return re.sub(r'<(span|div) class="arithmatex">(.*?)</\1>', formula, html, flags=re.DOTALL)


def _spaced(formula: str) -> str:
    """MathML whose signs, bars and names of functions stand where TeX puts them.

    Of a sign a browser knows only in the beginning of a row that it belongs to what follows, and of a bar
    nothing. Around the name of a function it leaves the room of an operator, or none before a letter.
    """
    formula = formula.replace("<mi>:</mi><mo>&#x0003D;</mo>", "<mo>&#x02254;</mo>")
    formula = _NAME.sub(r"<mi>\1</mi>\2", formula)
    formula = _SIGN.sub(r'\1<mo form="prefix">\2</mo>', formula)
    formula = _WORD.sub(r'\1<mspace width="0.167em" />', formula)
    forms = cycle(("prefix", "postfix"))
    bar = '<mo stretchy="false" form="{}">&#x0{};</mo>'
    return _BAR.sub(lambda found: bar.format(next(forms), found[1]), formula)


# === Links ===


def _links(text: str, source: str) -> set[str]:
    return {
        _resolve(path, source)
        for part in _FENCE.split(text)[::2]
        for _, path in _LINK.findall(part)
    }


def _resolve(link: str, source: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), link))


@cache
def _title(source: str) -> str | None:
    """What a page of the repository calls itself, for links that give but its name."""
    if not source.endswith(".md"):
        return None
    heading = re.match(r"# (.+)", (ROOT / source).read_text("utf-8"))
    return heading and heading[1]


# === Pages that are made ===


def _source(path: str, files: Files, config: MkDocsConfig) -> str:
    """A source file as a page that shows it; data as they are. Returns the file's name in the site."""
    language = LANGUAGES.get(Path(path).suffix, "docker" if "Dockerfile" in path else None)
    if language is None:
        files.append(File.generated(config, f"source/{path}", abs_src_path=str(ROOT / path)))
        return f"source/{path}"
    text = (ROOT / path).read_text("utf-8")
    name = f"source/{path}.md"
    content = f"# {path}\n\n````{language}\n{text}````\n"
    inclusion = InclusionLevel.NOT_IN_NAV
    files.append(File.generated(config, name, content=content, inclusion=inclusion))
    return name


def _playground(files: Files, config: MkDocsConfig) -> str:
    """A page around the playground, whose files become files of the site."""
    for path in sorted(path for path in PLAYGROUND.rglob("*") if path.is_file()):
        name = f"playground/{path.relative_to(PLAYGROUND).as_posix()}"
        files.append(File.generated(config, name, abs_src_path=str(path)))
    frame = '<iframe src="index.html" title="Playground" class="playground"></iframe>'
    return (
        f"# Playground\n\nThe texts stay in your browser, which runs the model itself.\n\n{frame}\n"
    )


def _notebook(
    path: Path, name: str, files: Files, known: dict[str, str], config: MkDocsConfig
) -> str:
    """A notebook with its outputs as Markdown; its pictures become files, beside it."""
    parts = []
    for number, cell in enumerate(json.loads(path.read_text("utf-8"))["cells"]):
        text = "".join(cell["source"])
        if cell["cell_type"] != "code":
            parts.append(text)
            continue
        parts.append(f"```python\n{text}\n```")
        for output in cell["outputs"]:
            data = output.get("data", {})
            printed = "".join(output.get("text", data.get("text/plain", ())))
            if "image/png" in data:
                picture = f"{path.stem}-{number}.png"
                content = b64decode("".join(data["image/png"]))
                uri = posixpath.join(posixpath.dirname(name), picture)
                files.append(File.generated(config, uri, content=content))
                known[path.with_name(picture).relative_to(ROOT).as_posix()] = uri
                parts.append(f"![What the code above draws]({picture})")
            elif "text/markdown" in data:
                parts.append("".join(data["text/markdown"]))
            elif printed.strip():
                parts.append(f"```text\n{printed.rstrip()}\n```")
    return "\n\n".join(parts) + "\n"
