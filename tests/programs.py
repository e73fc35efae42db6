"""What programs that documentation calls would do with their arguments."""

import importlib.util
import os
import re
import sys
from functools import cache
from pathlib import Path

import click
from pages import PAGES, ROOT


def parse(command: click.Command, words: list[str]) -> click.Context:
    """The arguments of a command or of a group's, or what is wrong with them, as an exception."""
    name: str | None = ""
    while isinstance(command, click.Group):
        name, found, words = command.resolve_command(click.Context(command), list(words))
        assert found is not None
        command = found
    return command.make_context(name, list(words))


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
            and all(value in known_values(name, value) for name, value in variables)
        ):
            return True
    return False


def known_values(name: str, value: str) -> list[str]:
    """What a variable of a Makefile may be; any value for most."""
    from beex_keras.export.mcu import boards
    from suite.description import names

    return {"BOARD": list(boards()), "SUITE": names()}.get(name, [value])


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
