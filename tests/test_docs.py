# ruff: noqa: F401, F811 (fixtures)
"""What the documentation shows is run: its Python, its commands and its C. The pages stay as they are."""

import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pages
import pytest
from click.testing import CliRunner
from conftest import COMPILER, needs_engine
from doc_toys import (
    ENCODER,
    no_conversions,
    no_epochs,
    no_trainings,
    one_epoch,
    small,
    small_presets,
    toys,
)
from pages import CMAKE, CPP, GRADLE, INI, JAVA, JS, KOTLIN, PAGES, PYTHON, ROOT, SHELL, C, Command
from programs import makefile, makefile_has, parse, script
from toy import toy_rows

import beex_keras as beex
from beex_keras.cli.app import app
from beex_keras.runtime import library
from corpora.__main__ import main as corpora_command

sys.path.append(str(ROOT / "tools"))
import tflm_host

TFLITE = ROOT / "tflite"

FIRST = ("README.md", "docs/quickstart.md", "docs/own_data.md")
"""The pages by which one begins."""


# === Pages from top to bottom ===


def run_page(page: str, folder: Path, *languages: str) -> None:
    """Runs the blocks of a page, in order, in one folder and one namespace."""
    texts = [row["text"] for row in toy_rows(50, 1)]
    namespace = {
        "texts": texts,
        "thousands_of_texts": texts,
        "lines_of_a_huge_file": iter(texts),
        "task": beex.load_task("rotten_tomatoes"),
    }
    for block in pages.read(page)[0]:
        if block.language not in languages:
            continue
        try:
            if block.language == PYTHON:
                code = "\n" * block.line + block.text  # so that a traceback has the page's lines
                exec(compile(code, PAGES[page], "exec"), namespace)
            else:
                for command in pages.commands(block.text, folder):
                    call(page, command, folder)
        except (Exception, SystemExit) as error:
            raise AssertionError(f"{page}, line {block.line}: {error!r}") from error


def call(page: str, command: Command, folder: Path) -> None:
    """Does what a command does, or looks whether it could be done."""
    program, *words = (word for word in command.words if word != "…")
    if command.cluster:
        cluster = json.loads(command.cluster)
        workers, task = cluster["cluster"]["worker"], cluster["task"]
        assert task["type"] == "worker" and 0 <= task["index"] < len(workers)
    calls: dict[str, Callable[[], None]] = {
        "beex": lambda: call_beex(words, command.stdin),
        "make": lambda: call_make(page, words, folder),
        "python": lambda: call_script(words, folder),
        "build/peers-env/bin/python": lambda: call_script(words, folder),  # make peers makes it
        "pip": lambda: call_pip(words),
        "apt-get": lambda: call_apt_get(words),
        "git": lambda: call_git(words, folder),
        "build/beexrun": lambda: call_beexrun(folder, words, command.stdin),
    }
    if program in calls:
        calls[program]()
    elif program in ("cmake", "cc", "pkg-config"):
        assert page == "docs/c_library.md"  # tests/test_c_library.py runs them
    else:
        assert os.access(ROOT / program, os.X_OK), f"{program} is no program"


def call_git(words: list[str], folder: Path) -> None:
    """git show COMMIT:FILE > NAME: the file as it is now stands in for that of then."""
    assert words[0] == "show"
    file = ROOT / words[1].partition(":")[2]
    for empty in folder.glob(f"*{file.suffix}"):
        if not empty.stat().st_size:
            shutil.copy(file, empty)


def call_make(page: str, words: list[str], folder: Path) -> None:
    assert makefile_has([makefile(page, words, folder)], words)


def call_apt_get(words: list[str]) -> None:
    known = (ROOT / "tools" / "install_emulators.sh").read_text("utf-8")
    packages = {word for word in words[1:] if not word.startswith("-")}
    assert packages <= set(re.findall(r"[\w.+-]+", known))


def call_beexrun(folder: Path, words: list[str], stdin: str) -> None:
    lines = beexrun(folder, words, stdin).splitlines()
    if words == ["--self-test"]:
        assert all(line.endswith(": passed") for line in lines)
    else:
        assert len(lines) == stdin.count("\n") + 1


def call_beex(words: list[str], stdin: str) -> None:
    options = {} if words[0].startswith("-") else parse(app, words).params
    if options.get("seed"):  # other seeds do what seed 0 does
        return
    result = CliRunner().invoke(app, words, input=stdin)
    assert result.exit_code == 0, f"beex {shlex.join(words)}: {result.exception!r} {result.output}"
    assert result.output


def call_script(words: list[str], folder: Path) -> None:
    for word in words:  # folders that a script wants to be there
        if word.isupper() or word.startswith("runs/"):
            (folder / word).mkdir(parents=True, exist_ok=True)
    if words[:2] == ["-m", "pytest"]:
        assert (ROOT / words[-1]).is_file()
        return
    if words[:2] == ["-m", "benchmarks.corpora"]:  # later commands read what it writes
        done = CliRunner().invoke(corpora_command, words[2:])
        assert done.exit_code == 0, done.output
        return
    path, *words = words
    command = script(path)
    if command is None:
        assert not words, f"{path} takes no arguments"
    else:
        parse(command, words)


def call_pip(words: list[str]) -> None:
    """Requirement files are there, and packages have the extras."""
    setup = (ROOT / "setup.py").read_text("utf-8")
    for before, word in itertools.pairwise(words):
        if before == "-r":
            assert (ROOT / word).is_file()
        if found := re.fullmatch(r"beex-keras\[([\w,]+)\]", word):
            assert all(f'"{extra}": [' in setup for extra in found[1].split(","))


def beexrun(folder: Path, words: list[str], stdin: str) -> str:
    program = folder / "beexrun"
    compile_c(program, TFLITE / "beexrun.c")
    return subprocess.run(
        [program, *words], cwd=folder, input=stdin, capture_output=True, text=True, check=True
    ).stdout


def compile_c(program: Path, source: Path) -> None:
    """Builds a program with the engine that the package has built already."""
    engine = library.path()
    subprocess.run(
        [
            COMPILER,
            "-std=c99",
            "-Wall",
            "-Wextra",
            "-Werror",
            f"-I{TFLITE}",
            source,
            engine,
            f"-Wl,-rpath,{engine.parent}",
            "-lm",
            "-o",
            program,
        ],
        check=True,
    )


def pages_with(*languages: str) -> list[str]:
    return [page for page in PAGES if any(b.language in languages for b in pages.read(page)[0])]


def test_python_of_the_readme(small, small_presets, one_epoch):
    run_page("README.md", small, PYTHON)


@pytest.mark.parametrize("page", [page for page in pages_with(PYTHON) if page != "README.md"])
def test_python(page, small, small_presets, no_epochs):
    run_page(page, small, PYTHON)


@needs_engine
@pytest.mark.parametrize("page", pages_with(SHELL))
def test_commands(page, small, small_presets, no_epochs, no_trainings):
    prepare(page, small)
    run_page(page, small, SHELL)


@needs_engine
@pytest.mark.slow
@pytest.mark.parametrize("language", [SHELL, PYTHON], ids=["commands", "python"])
@pytest.mark.parametrize("page", [p for p in pages_with(SHELL, PYTHON) if "pretrained/" not in p])
def test_trainings(page, language, request, small, small_presets, no_conversions):
    """First pages with an epoch; others with all of a training but its epochs."""
    request.getfixturevalue("one_epoch" if page in FIRST else "no_epochs")
    prepare(page, small)
    run_page(page, small, language)


def prepare(page: str, folder: Path) -> None:
    """The models that a page takes for granted."""
    # What exists goes before a packaged model of that name.
    name = {"docs/engine.md": "runs/reviews", "docs/warm_starts.md": "sst2-minilm"}.get(page)
    if name is not None:
        vocabulary = beex.text.read_vocabulary(
            folder / "packages" / ENCODER / "model" / "vocab.txt"
        )
        config = beex.BEExformerConfig.preset(
            "minilm", vocabulary_size=len(vocabulary), separator_id=4
        )
        preprocessor = beex.TextPreprocessor(vocabulary, config.max_length)
        model = beex.BEExformerClassifier(config, preprocessor, ("negative", "positive"))
        model.save_pretrained(folder / name / "model")


# === C ===

NAMES = {
    "model": "beex_model model;",
    "engine": "beex_engine engine;",
    "result": "beex_result result;",
}
"""What a fragment of C may use without having declared it."""

PROGRAM = """
{includes}
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void example(const void *data, size_t size, void *arena, size_t arena_size, const char *text) {{
{declarations}
{code}
}}

int main(int count, char **arguments) {{
  FILE *file = fopen(arguments[1], "rb");
  size_t room = 1 << 20;
  void *data = malloc(room), *arena = malloc(room);
  if (count != 3 || !file || !data || !arena) return 1;
  example(data, fread(data, 1, room, file), arena, room, arguments[2]);
  return 0;
}}
"""


def blocks_in(language: str) -> list[pages.Block]:
    return [b for page in PAGES for b in pages.read(page)[0] if b.language == language]


def block_name(block: pages.Block) -> str:
    return f"{block.page}:{block.line}"


@needs_engine
@pytest.mark.parametrize("block", blocks_in(C), ids=block_name)
def test_c(block, tmp_path):
    """A fragment, in a function around it, answers as Python does."""
    lines = block.text.splitlines()
    includes = [line for line in lines if line.startswith("#include")]
    code = "\n".join(line for line in lines if line not in includes)
    source = PROGRAM.format(
        includes="\n".join(includes),
        declarations="\n".join(d for n, d in NAMES.items() if n in code and d not in code),
        code=code,
    )
    (tmp_path / "example.c").write_text(source)
    compile_c(tmp_path / "example", tmp_path / "example.c")
    model, text = beex.pretrained.find("sst2-micro"), "what a lovely film"
    command = [tmp_path / "example", model, text]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert answer == f"{beex.pipeline(model)(text).label}\n"


RESOLVER = """
#include "micro/lce_ops.h"

// As tensorflow/lite/micro/micro_mutable_op_resolver.h declares them.
struct Resolver {{
  void AddCustom(const char* name, const tflite::micro::TFLMRegistration* registration);
  void AddGather(const tflite::micro::TFLMRegistration& registration);
  void AddFullyConnected(const tflite::micro::TFLMRegistration& registration);
}};

void example(Resolver& resolver) {{
{code}
}}
"""


@pytest.mark.skipif(tflm_host.COMPILER is None, reason="no C++ compiler")
@pytest.mark.parametrize("block", blocks_in(CPP), ids=block_name)
def test_cpp(block, tmp_path):
    source = tmp_path / "example.cc"
    source.write_text(RESOLVER.format(code=block.text))
    subprocess.run(
        [
            tflm_host.COMPILER,
            "-std=c++17",
            *tflm_host.WARNINGS,
            f"-I{TFLITE}",
            f"-I{tflm_host.SHIM}",
            "-fsyntax-only",
            source,
        ],
        check=True,
    )


def test_no_block_is_left_out():
    found = {block.language for page in PAGES for block in pages.read(page)[0]}
    assert found <= {SHELL, PYTHON, C, CPP, CMAKE, INI, JAVA, KOTLIN, GRADLE, JS}
