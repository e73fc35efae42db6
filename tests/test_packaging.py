"""Pinned versions, allowed ranges and the installed package tell one story."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import beex_keras
from beex_keras import pretrained
from beex_keras.export.mcu import board, project, single_header

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.10", "3.11", "3.12")


def pins(python: str) -> dict[str, str]:
    """The exact version of every requirement, for one Python."""
    found = {}
    for line in (ROOT / "requirements.txt").read_text("utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        requirement = Requirement(line)
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", f"{line} is not pinned"
        if requirement.marker is None or requirement.marker.evaluate({"python_version": python}):
            name = canonicalize_name(requirement.name)
            assert name not in found, f"{name} is pinned twice for Python {python}"
            found[name] = specifier.version
    return found


@pytest.fixture
def declared(monkeypatch) -> dict:
    """What setup.py hands to setuptools."""
    setuptools = pytest.importorskip("setuptools")
    monkeypatch.chdir(ROOT)
    values: dict = {}
    monkeypatch.setattr(setuptools, "setup", lambda **arguments: values.update(arguments))
    file = ROOT / "setup.py"
    exec(compile(file.read_text("utf-8"), file, "exec"), {"__file__": str(file), "__name__": "s"})
    return values


@pytest.mark.parametrize("python", PYTHONS)
def test_pins_lie_in_the_declared_ranges(declared, python):
    extras = declared["extras_require"]
    pinned = pins(python)
    for text in [*declared["install_requires"], *extras["all"]]:
        requirement = Requirement(text)
        if requirement.name == "jupyter":  # a convenience for people; the tests run without it
            continue
        if requirement.marker and not requirement.marker.evaluate({"python_version": python}):
            continue
        version = pinned.pop(canonicalize_name(requirement.name))
        assert requirement.specifier.contains(version), f"{text}, but pinned {version}"
    assert not pinned, "pinned but not declared in setup.py"


def test_all_holds_every_extra(declared):
    extras = declared["extras_require"]
    assert set(extras["all"]) == {text for texts in extras.values() for text in texts}


def test_version(declared):
    assert declared["version"] == beex_keras.__version__ == str(Version(beex_keras.__version__))


def test_python_range_is_the_one_the_makefile_looks_for(declared):
    makefile = (ROOT / "Makefile").read_text("utf-8")
    bounds = re.search(r"\((\d+), (\d+)\) <= sys.version_info\[:2\] <= \((\d+), (\d+)\)", makefile)
    assert bounds is not None
    lowest, highest = (tuple(map(int, bounds.groups()[i : i + 2])) for i in (0, 2))
    assert (
        declared["python_requires"] == f">={lowest[0]}.{lowest[1]},<{highest[0]}.{highest[1] + 1}"
    )
    assert tuple(f"3.{minor}" for minor in range(lowest[1], highest[1] + 1)) == PYTHONS


def test_files_that_are_no_python_are_shipped(declared):
    shipped = {
        file
        for package, patterns in declared["package_data"].items()
        for pattern in patterns
        for file in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    found = {file for file in (ROOT / "beex_keras").rglob("*") if file.is_file()}
    # The engine's library is built where it is installed.
    assert shipped == {f for f in found if f.suffix not in (".py", ".pyc", ".so")}


def test_an_installed_package_carries_models_and_projects_for_microcontrollers(tmp_path):
    """A project is written from the sources that it carries, not from those of the checkout."""
    build = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", tmp_path / "installed"]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    package = tmp_path / "installed" / "beex_keras"
    header = tmp_path / "beex.h"
    script = package / "export" / "mcu" / "single_header.py"
    subprocess.run([sys.executable, script, header], cwd=tmp_path, check=True)
    assert header.read_text("utf-8") == single_header.single_header()
    for name in project.FILES:
        shipped = package / "tflite" / "firmware" / name
        assert shipped.read_bytes() == (board.FIRMWARE / name).read_bytes()
    for file in pretrained.FOLDER.glob("*.*"):
        assert (package / "pretrained" / file.name).read_bytes() == file.read_bytes()


def test_every_package_is_shipped(declared):
    folders = {file.parent for file in (ROOT / "beex_keras").rglob("*.py")}
    assert set(declared["packages"]) == {
        ".".join(folder.relative_to(ROOT).parts) for folder in folders
    }


def test_all_sources_for_devices_are_in_the_source_distribution():
    manifest = (ROOT / "MANIFEST.in").read_text("utf-8")
    patterns = re.search("^recursive-include tflite (.+)$", manifest, re.MULTILINE)
    assert patterns is not None
    shipped = {pattern.removeprefix("*") for pattern in patterns[1].split()}
    files = [file for file in (ROOT / "tflite").rglob("*") if file.is_file()]
    assert shipped == {file.suffix or file.name for file in files}
