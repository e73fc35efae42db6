"""The C engine as a library: built by the systems that people have, and packed as they want it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pages
import pytest
from c_builds import CPP_COMPILERS, TFLITE, WARNINGS, each, run
from conftest import COMPILER, needs_engine
from pages import CMAKE, INI, ROOT, SHELL

import beex_keras
from beex_keras import BeexError, pretrained
from beex_keras.export.mcu import single_header, write_arrays
from beex_keras.export.mcu.memory import FIRMWARE
from beex_keras.runtime import load
from mcu import emulation

PAGE = "docs/c_library.md"
EXAMPLES = ROOT / "examples" / "c"
MODEL = pretrained.find("sst2-micro")
TEXTS = ["a gorgeous, witty, seductive movie.", "flat and lifeless."]
"""Those that examples/c/board.c has."""

SOURCES = {TFLITE / part for part in single_header.PARTS}

pytestmark = needs_engine


def block(language: str, beginning: str) -> str:
    """The page's block of a language that begins so."""
    (found,) = (
        b.text
        for b in pages.read(PAGE)[0]
        if b.language == language and b.text.startswith(beginning)
    )
    return found


def labels() -> list[str]:
    return [answer.label for answer in load(MODEL).classify(TEXTS)]


# === One version, one list of sources ===

VERSIONS = {
    "tflite/engine/beex.h": r'#define BEEX_VERSION "(.+)"',
    "tflite/idf_component.yml": r'^version: "(.+)"',
    "tflite/arduino/library.properties": r"^version=(.+)",
    "library.json": r'"version": "(.+)"',
    "tflite/web/package/package.json": r'"version": "(.+)"',
}


@pytest.mark.parametrize("file", VERSIONS)
def test_versions_are_that_of_the_package(file):
    text = (ROOT / file).read_text("utf-8")
    assert re.findall(VERSIONS[file], text, re.MULTILINE) == [beex_keras.__version__]


def test_the_version_in_numbers():
    text = (TFLITE / "engine" / "beex.h").read_text("utf-8")
    numbers = re.findall(r"#define BEEX_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", text)
    assert ".".join(numbers) == beex_keras.__version__


def test_sources_of_platformio():
    """Its patterns, one after the other; what it packs has them, and what they include."""
    manifest = json.loads((ROOT / "library.json").read_text("utf-8"))
    folder, found = ROOT / manifest["build"]["srcDir"], set()
    for sign, pattern in re.findall(r"([+-])<(.+?)>", " ".join(manifest["build"]["srcFilter"])):
        files = set(folder.glob(pattern))
        assert files
        found = found | files if sign == "+" else found - files
    assert found == SOURCES
    packed = [ROOT / path for path in manifest["export"]["include"]]
    assert all(path.exists() for path in packed)
    assert all(source.parent in packed for source in SOURCES)
    assert (ROOT / manifest["build"]["includeDir"] / manifest["headers"]).is_file()


def test_project_of_platformio():
    """The page's library is this checkout, whose manifest stands where it is looked for."""
    (link,) = re.findall("^lib_deps = symlink://(.+)$", block(INI, "[env:"), re.MULTILINE)
    assert Path(link).name == "BEEx-Keras"
    assert (ROOT / "library.json").is_file()


# === CMake and pkg-config ===

has_cmake = pytest.mark.skipif(
    not all(map(shutil.which, ("cmake", "pkg-config"))),
    reason="no cmake or pkg-config: tools/install_emulators.sh",
)


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A folder as the checkout is, whose build folder is its own."""
    folder = tmp_path / "BEEx-Keras"
    folder.mkdir()
    for name in ("tflite", "examples"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def cmake(folder: Path, project: str, *options: str) -> None:
    """Configures and builds a CMakeLists.txt of that text."""
    (folder / "CMakeLists.txt").write_text(project)
    run("cmake", "-S", folder, "-B", folder / "build", *options)
    run("cmake", "--build", folder / "build", "-j2")


def consumer(folder: Path, language: str, code: str, *options: str) -> Path:
    """The page's project of the host's example, in a language; the program."""
    suffix = {"C": "c", "CXX": "cc"}[language]
    folder.mkdir(exist_ok=True)
    shutil.copy(EXAMPLES / "classify.c", folder / f"classify.{suffix}")
    head = f"cmake_minimum_required(VERSION 3.16)\nproject(consumer C {language})\n"
    head += "add_compile_options(-Wall -Wextra -Wpedantic -Werror)\n"
    cmake(folder, head + code.replace("classify.c", f"classify.{suffix}"), *options)
    return folder / "build" / "classify"


def check_answers(program: Path, **options) -> None:
    lines = "".join(text + "\n" for text in TEXTS)
    answers = run(program, MODEL, input=lines, **options).splitlines()
    assert [answer.split("\t")[0] for answer in answers] == labels()
    long = {"input": "good " * 1_000, "capture_output": True, "text": True}
    refused = subprocess.run([program, MODEL], **long, **options)
    assert (refused.returncode, refused.stdout) == (2, "") and "4,096 bytes" in refused.stderr
    folder = os.open(".", os.O_RDONLY)
    refused = subprocess.run([program, MODEL], stdin=folder, capture_output=True, **options)
    os.close(folder)
    assert refused.returncode == 2 and b"standard input: it cannot be read" in refused.stderr


@pytest.mark.slow
@has_cmake
@pytest.mark.parametrize("kind", ["static", "shared"])
def test_installed_by_cmake(checkout, tmp_path, kind):
    """As the page says; programs of C and C++ find it, by CMake and by pkg-config."""
    commands, shared = block(SHELL, "cmake -S"), "ON" if kind == "shared" else "OFF"
    commands = commands.replace("build/cmake\n", f"build/cmake -DBUILD_SHARED_LIBS={shared}\n", 1)
    run("bash", "-eu", "-c", commands, cwd=checkout)
    # An installed folder may be moved.
    installed = shutil.move(checkout / "build" / "installed", checkout / "moved")
    found = block(CMAKE, "find_package(beex")
    for language in ("C", "CXX"):
        program = consumer(tmp_path / language, language, found, f"-DCMAKE_PREFIX_PATH={installed}")
        check_answers(program)
    shutil.move(installed, checkout / "build" / "installed")
    run("bash", "-eu", "-c", block(SHELL, "export PKG_CONFIG_PATH"), cwd=checkout)
    libraries = {"LD_LIBRARY_PATH": str(checkout / "build" / "installed" / "lib")}
    check_answers(checkout / "classify", env={**os.environ, **libraries})
    for folder in ("cmake", "installed/bin"):
        program = checkout / "build" / folder / "beexrun"
        assert run(program, "--version") == f"beexrun {beex_keras.__version__}\n"
    if kind == "shared":
        major, minor, _ = beex_keras.__version__.split(".")
        assert f"libbeex.so.{major}.{minor}" in run("ldd", checkout / "classify")
        assert f"libbeex.so.{major}.{minor}`" in pages.PAGES[PAGE].read_text("utf-8")


@pytest.mark.slow
@has_cmake
def test_installed_to_absolute_folders(tmp_path):
    """As distributions call CMake."""
    options = [f"-DCMAKE_INSTALL_PREFIX={tmp_path}", "-DBUILD_SHARED_LIBS=ON"]
    options += [f"-DCMAKE_INSTALL_{name}DIR={tmp_path / name}" for name in ("LIB", "INCLUDE")]
    run("cmake", "-S", TFLITE, "-B", tmp_path / "build", *options)
    run("cmake", "--build", tmp_path / "build", "-j2")
    run("cmake", "--install", tmp_path / "build")
    found = {**os.environ, "PKG_CONFIG_PATH": str(tmp_path / "LIB" / "pkgconfig")}
    flags = run("pkg-config", "--cflags", "--libs", "beex", env=found).split()
    program = tmp_path / "classify"
    run("cc", EXAMPLES / "classify.c", "-o", program, *flags)
    check_answers(program, env={**os.environ, "LD_LIBRARY_PATH": str(tmp_path / "LIB")})
    version = run(tmp_path / "bin" / "beexrun", "--version")
    assert version == f"beexrun {beex_keras.__version__}\n"


@pytest.mark.slow
@has_cmake
def test_built_within_another_project(tmp_path):
    """A static library, of which a shared one can be made; nothing else is built or installed."""
    (tmp_path / "BEEx-Keras").symlink_to(ROOT)
    code = block(CMAKE, "add_subdirectory(")
    code += "\nadd_library(part SHARED classify.c)\ntarget_link_libraries(part beex::beex)\n"
    program = consumer(tmp_path, "C", code)
    check_answers(program)
    (flags,) = (tmp_path / "build" / "beex").rglob("flags.make")
    assert "-O2" in flags.read_text("utf-8")  # though the project has no build type
    assert not list((tmp_path / "build").rglob("beexrun"))
    run("cmake", "--install", tmp_path / "build", "--prefix", tmp_path / "installed")
    assert not (tmp_path / "installed").exists()


@pytest.mark.skipif(shutil.which("clang") is None, reason="no clang, which knows both systems")
@pytest.mark.parametrize("way", ["dllexport", "dllimport"])
def test_functions_of_a_windows_library(tmp_path, way):
    """CMake builds it by the first, and programs see the second."""
    assert f"BEEX_API=__declspec({way})" in (TFLITE / "CMakeLists.txt").read_text("utf-8")
    program = "const char *f(void) { return beex_status_message(BEEX_OK); }"
    source = "status.c" if way == "dllexport" else "user.c"
    (tmp_path / "user.c").write_text(f'#include "beex.h"\n{program}\n')
    folder = TFLITE / "engine" if way == "dllexport" else tmp_path
    flags = ["--target=x86_64-pc-windows-msvc", "-ffreestanding", f"-I{TFLITE / 'engine'}"]
    flags += [f"-DBEEX_API=__declspec({way})", "-S", "-emit-llvm", "-o", "-"]
    assert re.search(rf"{way}.* @beex_status_message", run("clang", *flags, folder / source))


# === Build systems of boards, with stand-ins for their functions ===

ZEPHYR = """
cmake_minimum_required(VERSION 3.20)
project(zephyr C)
set(CONFIG_BEEX y)
macro(zephyr_library_named name)
  add_library(${name} STATIC)
  set(library ${name})
endmacro()
macro(zephyr_library_sources)
  target_sources(${library} PRIVATE ${ARGN})
endmacro()
macro(zephyr_library_compile_options)
  target_compile_options(${library} PRIVATE ${ARGN})
endmacro()
macro(zephyr_include_directories)
  include_directories(${ARGN})
endmacro()
add_subdirectory(BEEx-Keras/zephyr module)
"""

ESP_IDF = """
cmake_minimum_required(VERSION 3.16)
project(idf C)
set(ESP_PLATFORM 1)
macro(idf_component_register)
  cmake_parse_arguments(own "" "" "SRCS;INCLUDE_DIRS" ${ARGN})
  get_filename_component(COMPONENT_LIB ${CMAKE_CURRENT_LIST_DIR} NAME)
  add_library(${COMPONENT_LIB} STATIC ${own_SRCS})
  target_include_directories(${COMPONENT_LIB} PUBLIC ${own_INCLUDE_DIRS})
endmacro()
add_subdirectory(components/beex component)
"""

USER = """
include_directories(BEEx-Keras/tflite/engine)
add_executable(classify classify.c)
target_link_libraries(classify beex m)
"""


@pytest.mark.slow
@has_cmake
@pytest.mark.parametrize("system", ["zephyr", "esp-idf"])
def test_modules_of_board_systems(tmp_path, system):
    """The library that their files describe; within them it has not been built."""
    (tmp_path / "BEEx-Keras").symlink_to(ROOT)
    shutil.copy(EXAMPLES / "classify.c", tmp_path)
    if system == "esp-idf":
        run("bash", "-eu", "-c", block(SHELL, "mkdir -p components"), cwd=tmp_path)
    cmake(tmp_path, (ZEPHYR if system == "zephyr" else ESP_IDF) + USER)
    check_answers(tmp_path / "build" / "classify")


def test_module_of_zephyr():
    """Its paths are there, and it has a name for Kconfig, which its CMakeLists.txt asks for."""
    lines = (ROOT / "zephyr" / "module.yml").read_text("utf-8").splitlines()
    values = dict(line.strip().split(": ") for line in lines if not line.endswith(":"))
    assert values == {"name": "beex", "cmake": "zephyr", "kconfig": "zephyr/Kconfig"}
    assert (ROOT / values["cmake"] / "CMakeLists.txt").is_file()
    assert "config BEEX\n" in (ROOT / values["kconfig"]).read_text("utf-8")
    assert "if(CONFIG_BEEX)" in (ROOT / "zephyr" / "CMakeLists.txt").read_text("utf-8")
    assert "ZEPHYR_EXTRA_MODULES" in block(CMAKE, "cmake_minimum_required(VERSION 3.20)")


# === Arduino ===

ARDUINO = """
#include <stddef.h>
#include <stdint.h>
struct Port {
  void begin(long);
  int available(), read();
  void println(const char *);
  void println(double);
};
extern Port Serial;
void setup();
void loop();
"""
"""What a sketch gets of the core, as far as ours uses it."""

FIELDS = "name version author maintainer sentence paragraph url category architectures"


@pytest.fixture
def arduino(tmp_path) -> Path:
    """The library's folder, as `make arduino` puts it together."""
    run(sys.executable, single_header.__file__, tmp_path / "build" / "beex.h")
    for name in ("tflite", "LICENSE", "Makefile"):
        (tmp_path / name).symlink_to(ROOT / name)
    recipe = (ROOT / "Makefile").read_text("utf-8").partition("\narduino:")[2].partition("\n\n")[0]
    for line in recipe.splitlines()[1:]:
        python = line.replace("$(abspath $(BIN))/python", sys.executable)
        run("sh", "-eu", "-c", python.strip().removeprefix("@"), cwd=tmp_path)
    folder = tmp_path / "unpacked"
    shutil.unpack_archive(tmp_path / "build" / "beex-arduino.zip", folder)
    (library,) = folder.iterdir()
    return library


def test_rules_of_arduino(arduino):
    """Of its library specification."""
    lines = (arduino / "library.properties").read_text("utf-8").splitlines()
    values = dict(line.split("=", 1) for line in lines)
    assert values.keys() >= set(FIELDS.split())
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9 _.-]{0,62}", values["name"])
    assert arduino.name == values["name"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", values["version"])
    assert not values["paragraph"].startswith(values["sentence"])
    assert values["category"] == "Data Processing"  # one of the ten
    assert {path.name for path in arduino.iterdir()} == {
        *("library.properties", "LICENSE", "src", "examples")
    }
    assert {path.name for path in (arduino / "src").iterdir()} == {values["includes"], "beex.c"}
    for example in (arduino / "examples").iterdir():
        assert (example / f"{example.name}.ino").is_file()


def test_a_header_of_ones_own_is_not_replaced(tmp_path):
    (tmp_path / "net.h").write_text("int mine;")
    with pytest.raises(BeexError, match=r"net\.h is not ours"):
        write_arrays(MODEL.read_bytes(), tmp_path / "net.c")
    assert not (tmp_path / "net.c").exists()


@pytest.mark.parametrize("standard", ["gnu++11", "gnu++17"])
@pytest.mark.skipif(shutil.which("arm-none-eabi-g++") is None, reason="no compiler for Cortex-M")
def test_sketch_of_arduino(arduino, tmp_path, standard):
    """Library and sketch compile for a board, the sketch as C++ behind the core's header."""
    (tmp_path / "Arduino.h").write_text(ARDUINO)
    write_arrays(MODEL.read_bytes(), tmp_path / "model.c")
    flags = ["-mcpu=cortex-m4", "-mthumb", "-Os", *WARNINGS]
    flags += [f"-I{arduino / 'src'}", f"-I{tmp_path}"]
    sketch = arduino / "examples" / "Classify" / "Classify.ino"
    run(
        *("arm-none-eabi-g++", f"-std={standard}", *flags, "-include", "Arduino.h"),
        *("-x", "c++", "-c", sketch, "-o", tmp_path / "sketch.o"),
    )
    if standard == "gnu++17":
        source = arduino / "src" / "beex.c"
        run("arm-none-eabi-gcc", "-std=gnu11", *flags, "-c", source, "-o", tmp_path / "beex.o")


# === Examples ===


@pytest.fixture
def board_example(tmp_path) -> Path:
    """A folder with what examples/c/board.c says it needs."""
    write_arrays(MODEL.read_bytes(), tmp_path / "model.c")
    run(sys.executable, single_header.__file__, tmp_path / "beex.h")
    for file in (EXAMPLES / "board.c", TFLITE / "firmware" / "engine.c"):
        shutil.copy(file, tmp_path)
    return tmp_path


PORT = """
#include <stdio.h>
void board_print(const char *text);
void board_print(const char *text) { fputs(text, stdout); }
"""


def test_example_for_a_board(board_example):
    """Here, where it prints to the screen."""
    (board_example / "port.c").write_text(PORT)
    sources = [board_example / f"{name}.c" for name in ("board", "model", "engine", "port")]
    flags = ["-std=c99", "-Wpedantic", *WARNINGS, "-O1"]
    run(COMPILER, *flags, *sources, "-lm", "-o", board_example / "program")
    assert run(board_example / "program").splitlines() == labels()


@pytest.mark.slow
@pytest.mark.skipif(not emulation.is_available(), reason="no Arm compiler or emulator")
def test_example_for_a_board_on_one(board_example):
    """With the firmware's start-up and printing, and no C library's stdio or heap."""
    for name in ("Makefile", "memory.ld", "board.h", "startup.c", "semihosting.c", "counter.c"):
        shutil.copy(FIRMWARE / name, board_example)
    sources = "board.c model.c engine.c startup.c semihosting.c counter.c"
    output = board_example / "build"
    found = emulation.emulate(board_example, "mps2-an500", output, [], SOURCES=sources)
    assert found == labels()
    symbols = run("arm-none-eabi-nm", output / "firmware.elf")
    assert not re.search(r" (printf|malloc|_sbrk|fopen)$", symbols, re.MULTILINE)


@pytest.mark.parametrize("compiler", each(CPP_COMPILERS, "gcc"))
def test_example_for_a_computer_is_cpp_too(tmp_path, compiler):
    flags = ["-std=c++11", "-Wpedantic", *WARNINGS, "-fsyntax-only", f"-I{TFLITE / 'engine'}"]
    run(compiler, *flags, "-x", "c++", EXAMPLES / "classify.c")


def test_examples_are_short():
    for file in EXAMPLES.glob("*.c"):
        assert len(file.read_text("utf-8").splitlines()) <= 100
