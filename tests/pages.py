"""What the documentation shows, taken out of its pages: blocks of code, code in prose, links."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = {
    path.relative_to(ROOT).as_posix(): path
    for pattern in (
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "docs/*.md",
        "docs/reference/*.md",
        "tflite/*/README.md",
        "beex_keras/pretrained/*.md",
    )
    for path in sorted(ROOT.glob(pattern))
    if not path.name.endswith(".template.md")  # the pages that are made of these are here
}

SHELL, PYTHON, C, CPP, CMAKE, INI = "", "python", "c", "cpp", "cmake", "ini"
JAVA, KOTLIN, GRADLE, JS = "java", "kotlin", "kts", "js"
"""The languages of blocks; one without a language, or only indented, holds commands."""

_LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")
_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")


@dataclass(frozen=True)
class Block:
    """Code that stands on a page by itself.

    Attributes:
        page: its name in `PAGES`.
        line: where it begins, from 1.
        language: one of the above.
        text: the code, not indented.
    """

    page: str
    line: int
    language: str
    text: str


def read(page: str) -> tuple[list[Block], str]:
    """The blocks of a page, and its prose, in which a paragraph is a line."""
    blocks: list[Block] = []
    prose: list[str] = []
    lines = iter(enumerate(PAGES[page].read_text("utf-8").splitlines(), 1))
    before = ""
    for number, line in lines:
        if line.startswith("```"):
            code = []
            for _, inner in lines:
                if inner.startswith("```"):
                    break
                code.append(inner)
            blocks.append(Block(page, number, line.removeprefix("```"), "\n".join(code)))
        elif line.startswith("    :"):
            pass  # what a directive of the site is told
        elif line.startswith("    ") and not before.strip():
            blocks.append(Block(page, number, SHELL, line[4:]))
        elif line.startswith("    ") and blocks and before.startswith("    "):
            last = blocks.pop()
            blocks.append(Block(page, last.line, SHELL, f"{last.text}\n{line[4:]}"))
        else:
            prose.append(line)
        before = line
    text = re.sub(r"(?<=\S)\n(?=[^\n|#])(?! *(?:[-*]|\d+\.) )", " ", "\n".join(prose))
    return blocks, re.sub(r" {2,}", " ", text)


def spans(prose: str) -> list[str]:
    """The code in prose."""
    return [found[2] for found in _SPAN.finditer(prose)]


def links(prose: str) -> list[str]:
    """The targets of links and pictures."""
    return _LINK.findall(_SPAN.sub("", prose))


def anchors(path: Path) -> set[str]:
    """What the headings of a page may be linked by, as GitHub names them."""
    headings = re.findall(r"^#+ +(.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


# === Commands ===

_PRELUDE = r"""
set -eu
record() {
  local input=""
  if [ -p /dev/stdin ] || [ -f /dev/stdin ]; then input=$(cat); fi
  # Line by line, so that programs side by side would write into each other's.
  { flock 9; printf '%s\0' "${TF_CONFIG-}" "$input" "$#" "$@" >> "$RECORD"; } 9>> "$RECORD.lock"
}
for program in beex make python build/peers-env/bin/python pip apt-get build/beexrun tools/fuzz.sh .ci/run cmake cc pkg-config git; do
  eval "$program() { record $program \"\$@\"; }"
done
ssh() { cd() { :; }; eval "$2"; }
srun() { "$@"; }
scontrol() { printf '%s\n' host1 host2 host3; }
export -f record beex
"""
"""Programs that say how they were called. Those of a cluster start what they are told to, here."""

_ENVIRONMENT = {
    "JOB_COMPLETION_INDEX": "1",
    "SLURM_JOB_NODELIST": "host[1-3]",
    "SLURM_NODEID": "1",
}


@dataclass(frozen=True)
class Command:
    """A program as it was called.

    Attributes:
        words: the program and its arguments.
        stdin: what it was given to read.
        cluster: the environment variable TF_CONFIG.
    """

    words: tuple[str, ...]
    stdin: str = ""
    cluster: str = ""


def commands(code: str, folder: Path) -> list[Command]:
    """The commands of a shell block, by running it in `folder` with programs that do nothing."""
    record = folder / ".record"
    record.write_bytes(b"")
    result = subprocess.run(
        ["bash", "-c", _PRELUDE + code],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "RECORD": str(record), "LC_ALL": "C.UTF-8", **_ENVIRONMENT},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert not result.returncode and not result.stderr, result.stderr
    fields = iter(record.read_text("utf-8").split("\0")[:-1])
    record.unlink()
    found = []
    for cluster in fields:
        stdin, count = next(fields), int(next(fields))
        found.append(Command(tuple(next(fields) for _ in range(count)), stdin, cluster))
    return found
