"""The AAR for Android: what it carries, and that its very bytes answer as Python does, on three processors."""

import ctypes
import itertools
import os
import re
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pages
import pytest
import score_bits
from c_builds import TFLITE, run
from conftest import COMPILER, needs_engine
from pages import JAVA, KOTLIN, PAGES, ROOT

import beex_keras as beex
from beex_keras import export, pretrained
from beex_keras.export.beex import read_header
from beex_keras.runtime import library

pytest.importorskip("lief", reason="no lief, which reads libraries: make sets it up")
TOOL = ROOT / "tools" / "android"
sys.path.append(str(TOOL))
import jvm  # noqa: E402
import native  # noqa: E402
from jvm import BUILD  # noqa: E402

PAGE = "docs/android.md"
SOURCES = ROOT / "tflite" / "android" / "beex"
CLASSES = SOURCES / "src" / "main" / "java" / "org" / "beexkeras"
TESTS = Path(__file__).with_name("android")
PAIRS = Path(__file__).with_name("golden") / "int8.beex"

pytestmark = needs_engine


# === What two files have to agree in ===


def test_statuses_are_those_of_the_engine():
    text = (TFLITE / "engine" / "beex.h").read_text("utf-8")
    listed = text.partition("} beex_status;")[0].rpartition("typedef enum {")[2]
    statuses = re.findall(r"BEEX_(OK|ERROR_\w+)[ ,]", listed)
    known = re.findall(r"int (OK|ERROR_\w+) = (\d+);", (CLASSES / "Native.java").read_text("utf-8"))
    assert len(known) == 5
    assert all(statuses.index(name) == int(number) for name, number in known)


def test_places_in_arrays_are_those_of_the_native_code():
    code = (SOURCES / "src" / "main" / "cpp" / "beex_jni.c").read_text("utf-8")
    text = (CLASSES / "Native.java").read_text("utf-8")
    (places,) = re.findall(r"enum \{ (.+) \};", code)
    expected = ", ".join(f"{name} = {n}" for n, name in enumerate(places.split(", ")))
    assert f"int {expected};" in text


def test_both_builds_are_for_the_same_processors():
    gradle = (SOURCES / "build.gradle.kts").read_text("utf-8")
    (processors,) = re.findall(r"abiFilters \+= (.+)", gradle)
    assert set(re.findall(r'"(.+?)"', processors)) == set(native.TARGETS)
    (least,) = re.findall(r"minSdk = (\d+)", gradle)
    assert all(target.endswith((f"d{least}", f"i{least}")) for target, _ in native.TARGETS.values())
    cmake = (SOURCES / "src" / "main" / "cpp" / "CMakeLists.txt").read_text("utf-8")
    assert f"max-page-size={native.PAGE}" in cmake


def test_the_sample_uses_the_library_as_the_page_says():
    page = PAGES[PAGE].read_text("utf-8")
    sample = ROOT / "tflite" / "android" / "sample"
    activity = next(sample.rglob("MainActivity.kt")).read_text("utf-8")
    for name in re.findall(r'"(model\.\w+)"', activity):
        assert f"{sample.relative_to(ROOT)}/src/main/assets/{name}" in page


# === The build ===


@pytest.fixture(scope="module")
def aar() -> Path:
    """Built here, with what it needs installed where that may be."""
    run(TOOL / "install.sh")
    needed = {name: shutil.which(name) for name in ("javac", "clang", "ld.lld")}
    needed |= {"kotlin-compiler": jvm.KOTLIN.exists()}
    needed |= {"libandroid-json-java": jvm.JSON.exists()}
    if missing := [name for name, found in needed.items() if not found]:
        pytest.skip(f"no {', '.join(missing)}: tools/android/install.sh")
    print(run(sys.executable, TOOL))
    (path,) = (BUILD / "maven").rglob("*.aar")
    return path


@pytest.fixture(scope="module")
def unpacked(aar, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("aar")
    with zipfile.ZipFile(aar) as archive:
        archive.extractall(folder)
    return folder


@pytest.mark.slow
def test_what_the_aar_carries(aar, unpacked):
    size = aar.stat().st_size
    assert size <= 400_000
    (shown,) = re.findall(r"\| the AAR, .+ \| ([\d,]+) \|", PAGES[PAGE].read_text("utf-8"))
    assert int(shown.replace(",", "")) == pytest.approx(size, rel=0.05)  # by another compiler
    assert aar.name == f"beex-android-{beex.__version__}.aar"
    pom = aar.with_suffix(".pom").read_text("utf-8")
    assert f"<version>{beex.__version__}</version>" in pom and "<packaging>aar</packaging>" in pom
    for name in ("LICENSE", "NOTICE"):
        assert (unpacked / name).read_bytes() == (ROOT / name).read_bytes()
    assert 'package="org.beexkeras"' in (unpacked / "AndroidManifest.xml").read_text("utf-8")
    assert "-keepclasseswithmembernames" in (unpacked / "proguard.txt").read_text("utf-8")
    assert (unpacked / "R.txt").read_bytes() == b""
    with zipfile.ZipFile(unpacked / "classes.jar") as archive:
        names = archive.namelist()
        versions = {archive.read(name)[7] for name in names if name.endswith(".class")}
    assert versions == {52}  # of Java 8
    classes = {name for name in names if name.endswith(".class")}
    assert all(name.startswith("org/beexkeras/") for name in classes)  # no stand-ins
    assert {f"org/beexkeras/{file.stem}.class" for file in CLASSES.iterdir()} <= classes
    assert "org/beexkeras/ClassifiersKt.class" in classes


@pytest.mark.slow
@pytest.mark.parametrize("abi", native.TARGETS)
def test_segments_begin_at_pages_of_16_kb(unpacked, abi):
    """Read beside the build's own checks, which another library makes."""
    data = (unpacked / "jni" / abi / "libbeex_jni.so").read_bytes()
    is_wide = data[4] == 2
    (start,) = struct.unpack_from("<Q" if is_wide else "<I", data, 32 if is_wide else 28)
    size, count = struct.unpack_from("<HH", data, 54 if is_wide else 42)
    alignments = []
    for place in range(start, start + size * count, size):
        if data[place : place + 4] == b"\1\0\0\0":  # PT_LOAD
            field = ("<Q", place + 48) if is_wide else ("<I", place + 28)
            alignments += struct.unpack_from(field[0], data, field[1])
    assert alignments and set(alignments) == {16384}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("cmake") is None, reason="no cmake: tools/install_emulators.sh")
def test_the_build_by_cmake(tmp_path, aar):
    """As the NDK does it, here for this machine: the same functions and no others."""
    java = native.java_home() / "include"
    flags = f"-DCMAKE_C_FLAGS=-I{java} -I{java / 'linux'} -Wall -Wextra -Werror"
    run("cmake", "-S", native.CPP, "-B", tmp_path, flags)
    run("cmake", "--build", tmp_path, "-j2")
    shown = run("nm", "-D", "--defined-only", tmp_path / "libbeex_jni.so")
    assert set(re.findall(r" T (\w+)", shown)) == native.functions()


# === The page ===

PROGRAM = """
import android.content.Context{end}
import org.beexkeras.*{end}
{before}
{code}
{after}
"""


@pytest.mark.slow
def test_code_of_the_page_compiles(unpacked, tmp_path):
    blocks = [b for b in pages.read(PAGE)[0] if b.language in (JAVA, KOTLIN)]
    assert {block.language for block in blocks} == {JAVA, KOTLIN}
    path = [unpacked / "classes.jar", BUILD / "stubs"]
    for number, block in enumerate(blocks):
        folder = tmp_path / str(number)
        folder.mkdir()
        if block.language == JAVA:
            before = "class Page { void code(Context context) throws Exception {"
            text = PROGRAM.format(end=";", before=before, code=block.text, after="} }")
            (folder / "Page.java").write_text(text, "utf-8")
            jvm.java(folder, path, folder)
        else:
            before = "suspend fun code(context: Context) {"
            text = PROGRAM.format(end="", before=before, code=block.text, after="}")
            (folder / "Page.kt").write_text(text, "utf-8")
            jvm.kotlin(folder, path, folder)


# === Programs in Java ===


@pytest.fixture(scope="module")
def programs(unpacked, tmp_path_factory) -> list[Path]:
    """What Java programs of the tests run with: themselves, the AAR's classes, and stand-ins."""
    folder = tmp_path_factory.mktemp("programs")
    path = [unpacked / "classes.jar", BUILD / "stubs", jvm.JSON]
    return [jvm.java(folder, path, TESTS / "programs"), *path]


PROCESSORS = {
    "x86_64": ("", ""),
    "arm64-v8a": ("qemu-aarch64", "arm64"),
    "armeabi-v7a": ("qemu-arm", "armhf"),
}
"""The emulator, and the folder with Java of that processor."""


@pytest.fixture(scope="module", params=PROCESSORS)
def abi(request) -> str:
    emulator, folder = PROCESSORS[request.param]
    if not emulator and os.uname().machine != "x86_64":
        pytest.skip("not an x86-64 processor")
    if emulator and not (shutil.which(emulator) and (BUILD / folder / "complete").exists()):
        pytest.skip(f"no {emulator} or no Java of {folder}: tools/android/install.sh")
    return request.param


@pytest.fixture(scope="module")
def java(unpacked, programs, abi, tmp_path_factory) -> list[str]:
    """Java of a processor with the AAR's library, whose bytes stay as they are.

    The libraries that it asks for by Android's names are empty: Java itself brings the functions.
    """
    folder = tmp_path_factory.mktemp(abi)
    for file in (unpacked / "jni" / abi / "libbeex_jni.so", *(BUILD / abi).glob("lib[cm].so")):
        data = bytearray(file.read_bytes())
        if abi == "armeabi-v7a":
            # Android passes floats in whole registers, Debian in those for floats. Between Java and the
            # library none is passed, so a flag alone keeps Debian's loader from it.
            assert data[0x25] & 2
            data[0x25] &= ~2
        (folder / file.name).write_bytes(data)
    return command(abi, folder, programs)


def command(abi: str, libraries: Path, path: list[Path]) -> list[str]:
    emulator, folder = PROCESSORS[abi]
    words = ["env", f"LD_LIBRARY_PATH={libraries}", "java"]
    if emulator:
        (java,) = (BUILD / folder / "usr" / "lib" / "jvm").glob(
            f"java-21-openjdk-{folder}/bin/java"
        )
        words = [emulator, "-L", BUILD / folder, "-E", f"LD_LIBRARY_PATH={libraries}", java]
    memory = ["-Xms64m", "-Xmx64m", "-XX:+AlwaysPreTouch", "-XX:TieredStopAtLevel=1"]
    words += [*memory, f"-Djava.library.path={libraries}", "-cp", ":".join(map(str, path))]
    return [str(word) for word in words]


# === The engine ===


class Result(ctypes.Structure):
    """`beex_result` of tflite/engine/beex.h."""

    _fields_ = [
        *[(name, ctypes.c_size_t) for name in ("exit", "label")],
        *[(name, ctypes.c_float) for name in ("score", "value")],
        ("truncated", ctypes.c_int),
    ]


def bits(value: float) -> str:
    return f"{np.float32(value).view(np.uint32):08x}"


def expected(file: Path, texts: list[str]) -> list[list[str]]:
    """Exit, whether it was cut, label, and bits of the score, of Python's own library; or of the number."""
    engine = library.load()
    values = read_header(data := file.read_bytes())
    size = engine.beex_best_arena_size
    model, running, words = (
        ctypes.create_string_buffer(engine.beex_model_bytes()),
        ctypes.create_string_buffer(engine.beex_engine_bytes()),
        (ctypes.c_uint64 * (len(data) // 8 + 1)).from_buffer_copy(data.ljust(len(data) + 8, b"\0")),
    )
    assert engine.beex_open(model, words, len(data)) == library.OK
    arena = (ctypes.c_uint64 * (size(model) // 8 + 1))()
    assert engine.beex_start_named(running, model, arena, size(model), b"") == library.OK
    labels = [] if values["task"] else beex.load(file).labels
    answers = []
    for text in texts:
        first, _, second = (part.encode() for part in text.partition("\t"))
        result, is_pair = Result(), values["num_segments"] > 1
        pair = (second, len(second)) if is_pair else (None, 0)
        sizes = [ctypes.c_size_t(number) for number in (len(first), pair[1])]
        status = engine.beex_classify(
            running, first, sizes[0], pair[0], sizes[1], ctypes.byref(result)
        )
        assert status == library.OK
        label = "number" if values["task"] else labels[result.label]
        number = result.value if values["task"] else result.score
        answers.append([str(result.exit), str(bool(result.truncated)).lower(), label, bits(number)])
    return answers


def answers(java: list[str], texts: dict[Path, list[str]], folder: Path) -> list[list[str]]:
    """What `Answers` says of each model's texts, line by line, the labels before them."""
    words = []
    for file, lines in texts.items():
        (folder / file.stem).write_text("".join(f"{text}\n" for text in lines), "utf-8")
        words += [file, folder / file.stem]
    lines = run(*java, "Answers", *words, env=os.environ | {"LC_ALL": "C.UTF-8"}).splitlines()
    return [line.split(" ")[1:] for line in lines]


@pytest.mark.slow
def test_answers_are_those_of_python(java, abi, tmp_path):
    """To the last bit, of all packaged models; fewer texts where a large one is emulated."""

    def count(name: str) -> int:
        return 200 if abi == "x86_64" else 30 if name in score_bits.SMALL else 6

    texts = {
        pretrained.find(name): [*score_bits.texts(name, count(name))] for name in pretrained.names()
    }
    lines = iter(answers(java, texts, tmp_path))
    for file, asked in texts.items():
        assert tuple(next(lines)) == beex.load(file).labels
        found = list(itertools.islice(lines, len(asked)))
        assert [line[:4] for line in found] == expected(file, asked)
        for line, prediction in zip(found, beex.load(file).classify(asked), strict=True):
            assert line[2] == prediction.label and int(line[0]) == prediction.exit
            shares = np.array([int(word, 16) for word in line[4:]], np.uint32).view(np.float32)
            own = list(prediction.probabilities.values())
            np.testing.assert_allclose(shares, own, rtol=2**-23)
            assert line[1] == str(prediction.truncated).lower()
    assert next(lines, None) is None


@pytest.fixture(scope="module")
def numbers(tmp_path_factory) -> dict[Path, list[str]]:
    """Random models that answer a number, of texts and of pairs, with some of these."""
    folder, target = tmp_path_factory.mktemp("numbers"), tmp_path_factory.mktemp("c") / "write"
    program = "tests/differential_test.c"
    run(score_bits.build(target, COMPILER, "-O0", program=program), "-w", folder, 150)
    texts = {}
    for file in sorted(folder.iterdir()):
        values = read_header(file.read_bytes())
        if values["task"] and values["has_vocabulary"]:
            is_pair = values["num_segments"] > 1
            texts[file] = ["b bb\tbbb", "a b c\tb"] if is_pair else ["b bb", "bbb a"]
    return texts


@pytest.mark.slow
def test_numbers_in_place_of_labels(java, numbers, tmp_path):
    found = iter(answers(java, numbers, tmp_path))
    values = set()
    for file, texts in numbers.items():
        assert next(found) == [""]  # of labels
        known = expected(file, texts)
        assert [next(found) for _ in texts] == known
        values |= {bits for _, _, kind, bits in known if kind == "number"}
    assert len(values) > 5
    assert {len(text.split("\t")) for texts in numbers.values() for text in texts} == {1, 2}


@pytest.mark.slow
@pytest.mark.parametrize("check", ["errors", "sources", "threads"])
def test_checks_in_java(java, check):
    """What tests/android/programs/Checks.java says of each."""
    assert run(*java, "Checks", check, pretrained.find("snips-micro"), PAIRS) == "ok\n"


# === On x86-64 alone ===


@pytest.fixture(scope="module")
def desktop(unpacked, programs, tmp_path_factory) -> list[str]:
    """Java of this machine, with an interpreter that asks whoever reads its output."""
    folder = tmp_path_factory.mktemp("desktop")
    for file in (
        unpacked / "jni" / "x86_64" / "libbeex_jni.so",
        *(BUILD / "x86_64").glob("lib[cm].so"),
    ):
        shutil.copy(file, folder)
    return command("x86_64", folder, [jvm.java(folder, [], TESTS / "lce"), *programs])


@pytest.mark.slow
@pytest.mark.parametrize("check", ["hostile", "memory"])
def test_long_checks_in_java(desktop, check):
    assert run(*desktop, "Checks", check, pretrained.find("snips-micro"), PAIRS) == "ok\n"


@pytest.fixture(scope="module")
def tflite(tmp_path_factory) -> Path:
    """sst2-micro, exiting by itself; and beside it with all exits, and a model of numbers with its tokens."""
    folder = tmp_path_factory.mktemp("tflite")
    model = beex.BEExformerClassifier.from_pretrained("sst2-micro")
    export.convert(model, folder / "model.tflite")
    export.convert(model, folder / "all.tflite", exit="all-outputs")
    beex.backend.tf.keras.utils.set_random_seed(3)
    number = beex.BEExformerClassifier(
        # In batches float sums round otherwise, after which an activation of 8 bits may fall on the next step.
        model.config.replace(num_classes=1, activation_bits=32),
        model.preprocessor,
        policy=beex.Change(2.05),
        value_scale=beex.TargetScaler(3.0, 1.5, 2.0, 5.0),
    )
    export.convert(number, folder / "number.tflite")
    return folder / "model.tflite"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["model", "number"])
def test_larq_compute_engine_answers_as_in_python(desktop, tflite, name, tmp_path):
    """Java's ids go to the interpreter of Python, and its logits back: 200 texts, some of them cut."""
    tflite = tflite.with_name(f"{name}.tflite")
    runner, texts = beex.load(tflite), [*score_bits.texts("sst2-micro", 200)]
    (tmp_path / "texts").write_text("".join(f"{text}\n" for text in texts), "utf-8")
    words = [*desktop, "Answers", str(tflite), str(tmp_path / "texts")]
    rows, found = [], []
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin and process.stdout
        for line in process.stdout:
            kind, _, rest = line.rstrip("\n").partition(" ")
            if kind == "ids":
                rows.append([int(word) for word in rest.strip("[]").split(", ")])
                decided = runner.decide(np.array(rows[-1:], np.int32))
                logits = " ".join(map(bits, decided.logits[0]))
                process.stdin.write(f"{decided.exits[0]} {logits}\n")
                process.stdin.flush()
            elif kind == "labels":
                assert rest == ("" if name == "number" else " ".join(runner.labels))
            else:
                found.append(rest.split(" "))
    assert process.returncode == 0
    assert np.array_equal(np.array(rows)[:, : runner.encode(texts).shape[1]], runner.encode(texts))
    known = runner.classify(texts)
    assert len(found) == len(known) == 200
    assert {prediction.truncated for prediction in known} == {False, True}
    for line, prediction in zip(found, known, strict=True):
        exit, cut, label, number, *_ = line
        known = (
            ("number", prediction.value)
            if name == "number"
            else (prediction.label, prediction.score)
        )
        assert (int(exit), cut, label) == (
            prediction.exit,
            str(prediction.truncated).lower(),
            known[0],
        )
        assert np.uint32(int(number, 16)).view(np.float32) == pytest.approx(known[1], rel=1e-5)


@pytest.mark.slow
def test_tflite_files_that_are_refused(desktop, tflite):
    assert run(*desktop, "Checks", "tflite", tflite, tflite.with_name("all.tflite")) == "ok\n"
