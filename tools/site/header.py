"""A C header as Markdown: a heading for each declaration, its comment, its code."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_MARK = re.compile(r"^<!-- declarations of (\S+) -->$", re.MULTILINE)
_SECTION = re.compile(r"^/\* === (.+) === \*/$", re.MULTILINE)
_NAME = re.compile(r"(\w+)\([^()]*\);$|\} (\w+);$|^struct (\w+);$|^#define (\w+)", re.MULTILINE)


def with_declarations(markdown: str) -> str:
    """A page with the declarations of the header that a comment in it names."""
    return _MARK.sub(lambda mark: declarations((ROOT / mark[1]).read_text("utf-8")), markdown)


def declarations(text: str) -> str:
    """The public part of a header: sections, in each its paragraphs of comment and code."""
    text = text.partition('extern "C" {\n#endif\n')[2].partition("#ifdef __cplusplus")[0]
    parts = []
    for number, section in enumerate(_SECTION.split(text)):
        if number % 2:
            parts.append(f"## {section}")
            continue
        for paragraph in section.strip().split("\n\n"):
            parts += _declaration(paragraph)
    return "\n\n".join(parts)


def _declaration(paragraph: str) -> list[str]:
    comment = re.match(r"/\*(.+?)\*/\n?", paragraph, re.DOTALL)
    prose = re.sub(r"\n \* ?", "\n", comment[1]).strip() if comment else ""
    code = paragraph[comment.end() :] if comment else paragraph
    name = _NAME.findall(code)
    parts = [f"### `{next(filter(None, name[-1]))}`"] if name else []
    if code.strip():
        parts.append(f"```c\n{_code(code)}\n```")
    prose = re.sub(r"(?<![\w`/])(\*?\w*_\w+(?:\.\w+)*)(?!\w)", r"`\1`", prose)
    return [*parts, re.sub(r"\[(\w)\]", r"\\[\1\\]", prose)] if prose else parts


def _code(text: str) -> str:
    """Without the mark of exported functions, whose width later lines are indented by."""
    if "BEEX_API " in text:
        text = text.replace("BEEX_API ", "").replace("\n" + " " * len("BEEX_API "), "\n")
    return text.strip()
