"""How many bytes have to be installed to use a package."""

from collections.abc import Sequence
from importlib.metadata import Distribution, distribution
from pathlib import Path

import beex_keras

_OURS = "beex-keras"


def bytes_installed(packages: Sequence[str]) -> int:
    """Of these packages and of all that they require, as they stand in this environment.

    Byte code is left out, and of ours the models that come along, which count as models.
    """
    from packaging.utils import canonicalize_name

    waiting, seen = list(packages), set()
    total = 0
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in seen:
            continue
        seen.add(name)
        found = distribution(name)
        total += _own_bytes() if name == _OURS else _bytes(found)
        waiting += _required(found)
    return total


def _required(found: Distribution) -> list[str]:
    """Names of the packages that it requires here, without extras."""
    from packaging.requirements import Requirement

    wanted = [Requirement(line) for line in found.requires or []]
    return [one.name for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]


def _bytes(found: Distribution) -> int:
    files = [Path(str(found.locate_file(file))) for file in found.files or []]
    return sum(file.stat().st_size for file in files if file.suffix != ".pyc" and file.is_file())


def _own_bytes() -> int:
    """Of the package, which may be a checkout: what a wheel would install."""
    root = Path(beex_keras.__file__).parent
    files = [file for file in root.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files if file.suffix not in (".pyc", ".beex"))
