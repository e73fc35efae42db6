"""Pinned versions, allowed ranges and the installed package tell one story."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import beex_keras
from beex_keras import pretrained
from beex_keras.export.mcu import project, single_header
from beex_keras.export.mcu.memory import FIRMWARE
from beex_keras.runtime import library

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.10", "3.11", "3.12")


def pins(python: str, file: str = "requirements.txt") -> dict[str, str]:
    """The exact version of every requirement, for one Python."""
    found = {}
    for line in (ROOT / file).read_text("utf-8").splitlines():
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
    unused = set(pinned)
    for requirement in map(Requirement, [*declared["install_requires"], *extras["all"]]):
        name = canonicalize_name(requirement.name)
        if name == "jupyter":  # a convenience for people; the tests run without it
            continue
        if requirement.marker and not requirement.marker.evaluate({"python_version": python}):
            continue
        version = pinned[name]
        assert requirement.specifier.contains(version), f"{requirement}, but pinned {version}"
        unused.discard(name)
    assert not unused, "pinned but not declared in setup.py"


def test_wheels_are_read_as_in_tests():
    assert pins("3.11", "tools/wheels/requirements.txt")["lief"] == pins("3.11")["lief"]


def test_the_site_has_the_versions_of_tests():
    site, all_ = pins("3.11", "tools/site/requirements.txt"), pins("3.11")
    shared = site.keys() & all_.keys()
    assert {"numpy", "click", "rich", "rich-click"} <= shared
    assert all(site[name] == all_[name] for name in shared)


def test_all_holds_every_extra(declared):
    extras = declared["extras_require"]
    assert set(extras["all"]) == {text for texts in extras.values() for text in texts}


def test_version(declared):
    assert declared["version"] == beex_keras.__version__ == str(Version(beex_keras.__version__))


def test_the_least_python_is_the_one_the_makefile_looks_for(declared):
    makefile = (ROOT / "Makefile").read_text("utf-8")
    bounds = re.search(r"\((\d+), (\d+)\) <= sys.version_info\[:2\] <= \(3, (\d+)\)", makefile)
    assert bounds is not None
    major, lowest, highest = bounds.groups()
    assert declared["python_requires"] == f">={major}.{lowest}"
    assert tuple(f"3.{n}" for n in range(int(lowest), int(highest) + 1)) == PYTHONS


@pytest.mark.parametrize(
    ("machine", "without"),
    [("x86_64", set()), ("aarch64", {"larq-compute-engine"}), ("arm64", set())],
)
def test_tensorflow_comes_with_training_alone(declared, machine, without):
    def names(texts: list[str]) -> set[str]:
        where = {"platform_machine": machine}
        requirements = map(Requirement, texts)
        return {r.name for r in requirements if r.marker is None or r.marker.evaluate(where)}

    assert names(declared["install_requires"]) == {
        "numpy",
        "click",
        "rich",
        "rich-click",
    }
    training = {"tensorflow", "tf-keras", "tensorflow-text", "larq", "larq-compute-engine"}
    assert (
        names(declared["extras_require"]["train"]) == {*training, "numpy", "tensorboard"} - without
    )


def test_the_base_allows_numpy_1_and_2(declared):
    (numpy,) = (r for r in map(Requirement, declared["install_requires"]) if r.name == "numpy")
    assert all(numpy.specifier.contains(version) for version in ("1.26.4", "2.0.0", "2.5.5"))


def test_files_that_are_no_python_are_shipped(declared):
    shipped = {
        file
        for package, patterns in declared["package_data"].items()
        for pattern in patterns
        for file in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    found = {file for file in (ROOT / "beex_keras").rglob("*") if file.is_file()}
    # The engine's library is built where it is installed.
    assert shipped == {f for f in found if f.suffix not in (".py", ".pyc", library.path().suffix)}


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
        assert shipped.read_bytes() == (FIRMWARE / name).read_bytes()
    for file in pretrained.FOLDER.glob("*.*"):
        assert (package / "pretrained" / file.name).read_bytes() == file.read_bytes()


def test_a_wheel_depends_on_the_platform_alone(tmp_path):
    """And carries the library by a name without a version of Python, the notices, and no build's rests."""
    command = ["egg_info", "-e", tmp_path, "build", "-b", tmp_path, "bdist_wheel", "-d", tmp_path]
    environment = os.environ | {"BEEX_LIBRARY": str(library.path())}
    subprocess.run(
        [sys.executable, "setup.py", "-q", *command], cwd=ROOT, check=True, env=environment
    )
    (wheel,) = tmp_path.glob("*.whl")
    assert re.fullmatch(r"beex_keras-[\d.]+-py3-none-(?!any)\w+\.whl", wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert (
            archive.read(f"beex_keras/runtime/{library.path().name}") == library.path().read_bytes()
        )
    assert len([name for name in names if Path(name).suffix in (".so", ".dylib", ".dll")]) == 1
    assert {"LICENSE", "NOTICE"} <= {Path(name).name for name in names if ".dist-info/" in name}


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["cc", "false"])
def test_a_source_install_needs_no_compiler(tmp_path, compiler):
    command = ["egg_info", "-e", tmp_path, "build", "-b", tmp_path, "bdist_wheel", "-d", tmp_path]
    environment = os.environ | {"CC": compiler}
    subprocess.run(
        [sys.executable, "setup.py", "-q", *command], cwd=ROOT, check=True, env=environment
    )
    (wheel,) = tmp_path.glob("*-py3-none-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        built = f"beex_keras/runtime/{library.path().name}" in archive.namelist()
    assert built == (compiler == "cc")


def test_the_notice_names_every_model(declared):
    notice = " ".join((ROOT / "NOTICE").read_text("utf-8").split())
    for name in pretrained.names():
        card = json.loads((pretrained.FOLDER / f"{name}.json").read_text("utf-8"))
        assert name in notice
        licence = card["data"]["licence"]
        known = [one for one in ("CC0 1.0", "CC BY 3.0") if one in licence]
        assert (known or ["No licence is stated"])[0] in notice
        assert f"the model {name}" in notice.lower() or not card.get("starts_from")


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
