"""Firmware on emulated boards gives the answers of Keras, needs the stated memory, and counts exactly."""

import dataclasses
import functools
import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from commands import exit_code as beex
from conftest import MODES, needs_emulators, shake

from beex_keras import exits
from beex_keras.errors import BeexError
from beex_keras.export import beex as beex_format
from beex_keras.export import mcu
from beex_keras.export.mcu import memory
from beex_keras.export.mcu.memory import FIRMWARE
from beex_keras.models import PRESETS, BEExformerClassifier, BEExformerConfig
from beex_keras.runtime import CRunner, KerasRunner, keras_runner
from beex_keras.tasks import TargetScaler
from beex_keras.text import SPECIAL_TOKENS, TextPreprocessor
from mcu import costs, emulation
from mcu.models import measure_project

SENTENCES = {"netduinoplus2": 8, "mps2-an500": 12, "mps3-an547": 12, "mps2-an385": 4}
"""The number of sentences for each board; the last board has no floating-point unit."""

slow = pytest.mark.slow
USUAL = "netduinoplus2"
each_board = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == USUAL else slow) for name in SENTENCES]
)

WORDS = ["good", "bad", "film", "the", "un", "##aff", "##able", "café", "中", "!", "##s", "a"]
VOCABULARY = (*SPECIAL_TOKENS, *WORDS)
SMALL = {
    "width": 24,
    "hidden_width": 40,
    "num_heads": 3,
    "num_blocks": 3,
    "max_length": 20,
    "num_segments": 2,
}
"""Sizes of a model of pairs, smaller than preset micro."""

SMALL_GELU = {**SMALL, "content_activation": "gelu", "hidden_width": 37}

STRICT = "-Wall -Wextra -Wpedantic -Werror"


@functools.cache
def model(mode: str = "fully-binary", **changes) -> BEExformerClassifier:
    """Makes a model of preset micro with random weights, and a policy that takes every exit."""
    tf.keras.utils.set_random_seed(1)
    config = BEExformerConfig.preset(
        "micro", vocabulary_size=len(VOCABULARY), **{**MODES[mode], **changes}
    )
    made = shake(BEExformerClassifier(config, TextPreprocessor(VOCABULARY, config.max_length)))
    made.policy = exits.Confidence(0.6)
    return made


def sentences(count: int) -> list[str]:
    generator = random.Random(0)
    texts = ["Unaffable CAFÉ films 中!", "x" * 300, "good " * 80]
    while len(texts) < count:
        number = generator.randrange(1, 9)
        words = [generator.choice(WORDS).removeprefix("##") for _ in range(number)]
        texts.append(" ".join(words))
    return texts[:count]


@pytest.fixture(scope="module", autouse=True)
def compiler(tmp_path_factory):
    """Makes warnings errors, and compiles the engine once a board."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CFLAGS", STRICT)
        patch.setenv("CROSS", str(Path(__file__).parents[1] / "tools" / "kept-"))
        patch.setenv("KEPT", str(tmp_path_factory.mktemp("objects")))
        yield


@pytest.fixture(scope="session")
def projects(tmp_path_factory):
    """Writes a kind of model as a project for a board, once, and measures it."""

    @functools.cache
    def project(name: str, mode: str = "fully-binary", **changes):
        folder = tmp_path_factory.mktemp("project") / "folder"
        return folder, measure_project(beex_format.convert(model(mode, **changes)), folder, name)

    return project


def run(folder, name: str, texts: list[str]):
    return emulation.measure(folder, name, folder / "plain", texts)


def check_answers(answers, classifier: BEExformerClassifier, texts: list) -> None:
    expected = KerasRunner(classifier).classify(texts)
    assert [(a[0], a[2]) for a in answers] == [(e.label, e.exit) for e in expected]
    np.testing.assert_allclose([a[1] for a in answers], [e.score for e in expected], atol=1e-4)


def split(lines: list[str]) -> list[tuple[str, float, int]]:
    return [
        (label, float(score), int(exit))
        for label, score, exit, *_ in (line.split("\t") for line in lines)
    ]


# === Answers ===


@needs_emulators
def test_answers_are_those_of_keras(projects):
    """The tests of counting check the answers of other boards."""
    (folder, _), texts = projects(USUAL), sentences(100)
    lines = [text.encode() for text in texts]
    found = emulation.emulate(folder, USUAL, folder / "plain", lines)
    check_answers(split(found), model(), texts)
    assert len({exit for _, _, exit in split(found)}) > 2
    truncated = [
        text for text, line in zip(texts, found, strict=True) if line.endswith("\ttruncated")
    ]
    assert truncated == ["good " * 80]


@needs_emulators
@pytest.mark.parametrize("end", [b"", b"\4 behind the end\ngood\n"])
def test_the_last_line_needs_no_end(projects, end):
    (folder, _), texts = projects(USUAL), sentences(2)
    text = "\n".join(texts).encode() + end
    found = emulation.emulate(folder, USUAL, folder / "plain", text)
    check_answers(split(found), model(), texts)


@needs_emulators
@pytest.mark.parametrize(
    ("name", "mode", "changes"),
    [
        (USUAL, "weights-only", SMALL_GELU),
        (USUAL, "float", SMALL),
        pytest.param("mps2-an500", "float", SMALL, marks=slow),
        pytest.param("mps2-an500", "weights-only", SMALL, marks=slow),
        pytest.param("mps2-an500", "float", SMALL_GELU, marks=slow),
        pytest.param("mps2-an500", "weights-only", SMALL_GELU, marks=slow),
    ],
)
def test_other_kinds_of_models_run_too(projects, name, mode, changes):
    (folder, _), texts = projects(name, mode, **changes), sentences(8)
    lines = [f"{a}\t{b}".encode() for a, b in zip(texts, texts[::-1], strict=True)]
    found = emulation.emulate(folder, name, folder / "plain", [*lines, b"no tab"])
    check_answers(
        split(found[:-1]), model(mode, **changes), list(zip(texts, texts[::-1], strict=True))
    )
    assert found[-1].startswith("error: line 9: the model reads pairs")


@needs_emulators
@pytest.mark.parametrize(
    ("name", "mode", "changes", "options"),
    [
        (USUAL, "w1a8", SMALL_GELU, {}),
        (USUAL, "float", SMALL, {"int8_weights": True}),
        pytest.param("mps3-an547", "w1a8", SMALL, {}, marks=slow),
        pytest.param("mps3-an547", "float", SMALL, {"int8_weights": True}, marks=slow),
        pytest.param("mps3-an547", "w1a8", SMALL_GELU, {}, marks=slow),
        pytest.param("mps3-an547", "float", SMALL_GELU, {"int8_weights": True}, marks=slow),
    ],
)
def test_builds_with_8_bits_answer_as_on_this_machine(name, mode, changes, options, tmp_path):
    made, texts = model(mode, **changes), sentences(6)
    mcu.export_project(made, tmp_path / "p", name, **options)
    lines = [f"{text}\t{text}".encode() for text in texts]
    found = emulation.emulate(tmp_path / "p", name, tmp_path / "b", lines)
    data = beex_format.convert(made, int8_weights="int8_weights" in options)
    here = CRunner(data).classify(list(zip(texts, texts, strict=True)))
    assert split(found) == [(p.label, pytest.approx(p.score, abs=1e-4), p.exit) for p in here]


@needs_emulators
def test_a_number_stands_in_the_place_of_the_label(tmp_path):
    tf.keras.utils.set_random_seed(1)
    sizes = {**SMALL, "num_segments": 1, "num_classes": 1}
    config = BEExformerConfig.preset("micro", vocabulary_size=len(VOCABULARY), **sizes)
    preprocessor, texts = TextPreprocessor(VOCABULARY, config.max_length), sentences(8)
    classifier = shake(BEExformerClassifier(config, preprocessor))
    answers = KerasRunner(classifier).classify(texts)
    middle = float(np.median([answer.value for answer in answers]))
    # Of both signs; clipped; each other one of small and of large numbers.
    for scale in (TargetScaler(-7.5 * middle, 7.5, -0.03), TargetScaler(1e6, 3e5, most=1e6)):
        classifier.value_scale = scale
        mcu.export_project(classifier, tmp_path / "p", USUAL)
        lines = [text.encode() for text in texts]
        found = emulation.emulate(tmp_path / "p", USUAL, tmp_path / "b", lines)
        expected = CRunner(beex_format.convert(classifier)).classify(texts)
        for line, answer in zip(found, expected, strict=True):
            value, score, taken, *_ = line.split("\t")
            exact = float(np.float32(answer.value))
            assert float(value) == pytest.approx(exact, rel=0, abs=1e-4)
            assert (score, taken) == ("1.0000", str(answer.exit))


@needs_emulators
def test_a_bad_line_is_answered_and_the_next_is_read(projects):
    lines = [b"good", b"\xff\xfe", b"good \xc3", b"bad " * 300, b"", b"good"]
    folder, _ = projects(USUAL)
    first, *bad, long, empty, last = emulation.emulate(folder, USUAL, folder / "plain", lines)
    assert bad == [f"error: line {n}: the text is not valid UTF-8." for n in (2, 3)]
    assert long == "error: line 4: the line is longer than LONGEST_LINE."
    assert len(split([empty])) == 1
    assert first == last


# === Counting ===


LOOP = """
#include "board.h"
int main(void) {
  for (uint32_t turns = 1000; turns < 100000000; turns *= 100) {
    uint32_t left = turns;
    board_count();
    __asm__ volatile("1: subs %0, #1\\n bne 1b" : "+r"(left));
    board_print_number(board_instructions(board_ticks()));
    board_print("\\n");
  }
  return 0;
}
"""


def board_program(folder, source: str):
    """Writes a program of one source in place of the classifier."""
    folder.mkdir()
    (folder / "program.c").write_text(source)
    for name in ("Makefile", "memory.ld", "board.h", "startup.c", "semihosting.c", "counter.c"):
        shutil.copy(FIRMWARE / name, folder)
    return {"SOURCES": "program.c startup.c semihosting.c counter.c"}


@needs_emulators
@each_board
def test_the_counter_counts_instructions(tmp_path, name):
    """The loop has two instructions, and overflows the timer's 24 bits; interrupts add a few."""
    check_counts(tmp_path, name)


@needs_emulators
def test_the_counter_knows_a_clock_of_no_whole_megahertz(tmp_path):
    """The row of the board is not in the Makefile."""
    row = "cortex-m3 soft 12500000 0x0 256K 0x20000000 64K lm3s6965evb"
    check_counts(tmp_path, "lm3s6965evb", BOARDS="lm3s6965evb", lm3s6965evb=row)


def check_counts(tmp_path, name, **variables):
    variables |= board_program(tmp_path / "p", LOOP)
    found = emulation.emulate(tmp_path / "p", name, tmp_path / "b", [], **variables)
    for turns, count in zip((1000, 100_000, 10_000_000), map(int, found), strict=True):
        assert 2 * turns <= count <= 2 * turns * 1.00001 + 30


@needs_emulators
@each_board
def test_instructions_are_the_same_in_every_run(projects, name):
    (folder, project), texts = projects(name), sentences(SENTENCES[name])
    first, used = run(folder, name, texts)
    assert run(folder, name, texts) == (first, used)
    check_answers([(m.label, m.score, m.exit) for m in first], model(), texts)
    for text in first:
        # Each exit takes what the one before took, and a block.
        steps = np.diff(text.exits)
        assert (steps > 0).all()
        assert steps.max() < 1.1 * steps.min()
    tokens = (model().preprocessor.encode(texts) != 0).sum(axis=1)
    assert [m.tokens for m in first] == tokens.tolist()
    longest = first[tokens.tolist().index(project.tokens)]
    np.testing.assert_allclose(longest.exits, project.instructions, rtol=0.01)


# === Memory ===


@needs_emulators
@each_board
def test_a_program_runs_with_the_stated_memory_and_not_with_less(projects, name):
    """The stated RAM is enough; with 1 KB less the program does not link, or its stack overflows."""
    (folder, project), texts = projects(name), sentences(3)
    found = project.footprint
    expected = emulation.emulate(folder, name, folder / "plain", [t.encode() for t in texts])

    def answers(**variables):
        lines = [text.encode() for text in texts]
        return emulation.emulate(folder, name, folder / "plain", lines, **variables)

    assert answers(RAM=str(found.ram), FLASH=str(found.flash)) == expected
    with pytest.raises(BeexError, match="RAM.*overflowed by 1024 bytes"):
        answers(RAM=str(found.ram - 1024))
    with pytest.raises(BeexError, match="stack is too small"):
        answers(RAM=str(found.ram - 1024), STACK=str(found.stack - 1024))
    with pytest.raises(BeexError, match="FLASH.*overflowed"):
        answers(FLASH=str(found.flash - 64))
    _, used = run(folder, name, texts)
    assert found.arena - 64 < used.arena <= found.arena
    assert found.stack - 1024 < used.stack <= found.stack


@needs_emulators
def test_micro_fits_the_smallest_board(projects):
    """A real vocabulary, of up to 70 KB, is not part of this model."""
    _, project = projects("netduinoplus2")
    assert project.footprint.ram <= 64 * 1024
    assert project.footprint.flash <= (256 - 70) * 1024


@needs_emulators
def test_a_store_behind_the_memory_faults(tmp_path):
    source = "int main(void) { *(volatile int *)(0x20000000 + 128 * 1024) = 1; return 0; }\n"
    variables = board_program(tmp_path / "p", source)
    with pytest.raises(BeexError, match="fault: at 0x0800.*BFAR 0x20020000"):
        emulation.emulate(tmp_path / "p", "netduinoplus2", tmp_path / "b", [], **variables)


@pytest.mark.parametrize(
    ("mode", "network"),
    [
        ("float", "slfn"),
        ("weights-only", "ffn"),
        ("fully-binary", "slfn"),
        pytest.param("float", "ffn", marks=slow),
        pytest.param("weights-only", "slfn", marks=slow),
        pytest.param("fully-binary", "ffn", marks=slow),
    ],
)
def test_size_of_weights_is_known_beforehand(mode, network, tmp_path):
    changes = {"width": 72, "hidden_width": 132, "num_classes": 20, "num_blocks": 1}
    made = model(mode, network=network, num_segments=3, **changes)
    for int8 in (False, True)[: 1 + (mode == "float")]:
        report = beex_format.export_file(made, tmp_path / "m.beex", 40, int8_weights=int8)
        assert beex_format.weights_size(made.config, 40, int8) == report["weights"]


# === Export ===


def test_a_project_holds_the_model_and_states_its_memory(tmp_path):
    found = mcu.export_project(model(), tmp_path / "p", ram=128 * 1024, flash=2**20)
    data = beex_format.convert(model())
    assert found.model == len(data)
    assert found.arena == beex_format.arena_size(model().config, 64)
    assert found.flash == found.model + found.code
    assert found.ram == found.arena + found.stack + found.data
    text = (tmp_path / "p" / "model.c").read_text()
    numbers = text[text.index("{\n") + 1 : text.rindex("}")]
    assert bytes(map(int, numbers.split(","))) == data


def test_a_model_that_does_not_fit_is_refused_with_a_length_that_fits(tmp_path):
    with pytest.raises(mcu.DoesNotFit, match="bytes of RAM.*--length") as error:
        mcu.export_project(model(), tmp_path / "p", ram=40 * 1024)
    assert not (tmp_path / "p").exists()
    assert error.value.footprint.ram > error.value.footprint.board.ram == 40 * 1024
    length = int(str(error.value).split("--length ")[1].split(";")[0].rstrip("."))
    found = mcu.export_project(model(), tmp_path / "p", ram=40 * 1024, length=length)
    assert found.ram <= 40 * 1024
    assert f"#define MODEL_LENGTH {length} " in (tmp_path / "p" / "model.h").read_text()


def test_a_project_keeps_what_people_change(tmp_path):
    data = beex_format.convert(model())
    mcu.write_project(data, tmp_path / "p", {})
    text = (tmp_path / "p" / "model.c").read_text()
    (tmp_path / "p" / "startup.c").write_text("mine")
    (tmp_path / "p" / "model.c").unlink()
    mcu.write_project(data, tmp_path / "p", {})
    assert (tmp_path / "p" / "startup.c").read_text() == "mine"
    assert (tmp_path / "p" / "model.c").read_text() == text
    (tmp_path / "diary.txt").touch()
    (tmp_path / "model.h").touch()  # as of an array of C
    with pytest.raises(BeexError, match="something else"):
        mcu.write_project(data, tmp_path, {})


@pytest.fixture
def command(monkeypatch, tmp_path):
    monkeypatch.setattr(keras_runner, "load_classifier", lambda path: model())
    return "convert", tmp_path, "-o", tmp_path / "p"


def test_command_line(command, tmp_path, capsys):
    options = ("--target", "mcu", "--ram", "128K", "--flash", "1M")
    assert beex(*command, *options, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["ram"], report["flash"]) == (128 * 1024, 2**20)
    assert report["footprint"]["ram"] <= report["ram"]
    assert beex(*command, *options) == 0
    printed = capsys.readouterr().out
    assert f"{report['footprint']['stack']:,}" in printed
    assert "emulate < texts" in printed
    assert beex(*command, "--target", "mcu", "--ram", "40K") == 2
    errors = capsys.readouterr().err
    for word in ("together", "40,960", "error: The model takes", "would fit: --length"):
        assert word in errors


def test_mistakes_are_named(command, capsys):
    mistakes = {
        ("--ram", "128K"): "is for --target mcu",
        ("--target", "mcu", "--ram", "lots"): "--ram lots",
        ("--target", "mcu", "--board", "arduino"): "netduinoplus2",
        ("--target", "mcu", "--format", "beex"): "--format",
        ("--target", "mcu", "--exit", "all-outputs"): "--exit",
    }
    for options, words in mistakes.items():
        assert beex(*command, *options) == 2
        assert words in capsys.readouterr().err


@needs_emulators
@each_board
def test_the_tables_are_near_emulation(projects, name):
    _, project = projects(name)
    expected = costs.instructions(name, model().config, "fully binary", project.tokens)
    np.testing.assert_allclose(expected, project.instructions, rtol=0.15)
    known, found = (
        memory.footprint(beex_format.convert(model()), mcu.boards()[name]),
        project.footprint,
    )
    assert known.flash == pytest.approx(found.flash, rel=0.05)
    assert known.ram == pytest.approx(found.ram, rel=0.05)
    assert known.stack >= project.stack_used


@pytest.mark.parametrize("preset", PRESETS)
def test_a_smaller_preset_is_advised(preset):
    """Some preset fits a board on which a weights-only model of a larger preset does not."""
    config = BEExformerConfig.preset(preset)
    needed = dataclasses.replace(
        memory.footprint(beex_format.convert(model("weights-only")), mcu.boards()[USUAL]),
        model=beex_format.weights_size(config, config.max_length) + 30_000,
        arena=beex_format.arena_size(config, config.max_length),
    )
    advice = memory.alternatives(needed, config, config.max_length, is_int8=False)
    assert any("preset" in words for words in advice) or preset == "micro"
