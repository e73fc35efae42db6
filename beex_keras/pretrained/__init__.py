"""Trained models that come with the package: a `.beex` file each, and its card.

`<name>.json` has all figures of a card, `<name>.md` is the page written from them
(`tools/ship` makes the three). Nothing here needs TensorFlow.
"""

import json
import os
from pathlib import Path
from typing import Any

from beex_keras.errors import BeexError
from beex_keras.files import read_text

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The models' names, in alphabetical order.

    Example:
        >>> beex.pretrained.names()
        ['clinc-micro', 'clinc-minilm', 'snips-micro', 'sst2-micro', 'sst2-minilm', 'sst2-minilm-binary']
    """
    return sorted(file.stem for file in FOLDER.glob("*.beex"))


def find(model: str | os.PathLike[str]) -> Path:
    """Finds the file of a model by its path or by the name of a packaged model.

    If a file of that name exists, the file is used.

    Raises:
        BeexError: there is neither such a file nor a packaged model of that name.

    Example:
        >>> beex.pretrained.find("sst2-micro").name
        'sst2-micro.beex'
    """
    if not isinstance(model, str | os.PathLike):
        raise BeexError(
            f"A model is given by its path or its name, not by a {type(model).__name__}."
        )
    path = Path(model)
    if os.path.exists(path):  # unlike Path.exists, also for what is too long for a path
        return path
    if path.name != os.fspath(model) or path.suffix:
        raise BeexError(f"There is no model at {path}; check the path.")
    if path.name in names():
        return FOLDER / f"{path.name}.beex"
    missing = f"There is no model at {path}, and no packaged model has that name"
    raise BeexError(f"{missing}; give a path, or one of {', '.join(names())}.")


def card(name: str) -> dict[str, Any]:
    """The figures of a model's card.

    Raises:
        BeexError: the package contains no model of that name.

    Example:
        >>> beex.pretrained.card("sst2-micro")["labels"]
        ['negative', 'positive']
    """
    return json.loads(read_text(_file(name, "json"), "model card"))


def page(name: str) -> str:
    """A model's card to read, in Markdown; errors as `card`.

    Example:
        >>> beex.pretrained.page("sst2-micro").splitlines()[0]
        '# sst2-micro'
    """
    return read_text(_file(name, "md"), "model card")


def _file(name: str, suffix: str) -> Path:
    if name not in names():
        raise BeexError(f"There is no packaged model {name}; choose one of {', '.join(names())}.")
    return FOLDER / f"{name}.{suffix}"
