"""Makes a virtual environment; `make` calls it when the environment is missing or old.

    python tools/make_venv.py DIRECTORY [REQUIREMENTS]

It holds the project and what `requirements.txt` says, or else what the other file does.

The stamp file ``.complete`` is written last. Without it the environment is the remains of an
interrupted set-up, of which nothing can be trusted, and is made anew; with it, newer requirements
are installed on top. Only the standard library is used: nothing is installed yet.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

PINNED = "requirements.txt"

# What the project is installed from; the second is compiled.
SOURCES = ("setup.py", "tflite/*/*.[chi]*")


def main(directory: Path, requirements: str = PINNED) -> int:
    root = Path.cwd()
    stamp = directory / ".complete"
    python = directory / "bin" / "python"
    if requirements == PINNED:
        installs = [["-r", PINNED], ["--no-deps", "-e", "."]]
        sources = [Path(PINNED), *(file for glob in SOURCES for file in root.glob(glob))]
    else:
        installs = [["-r", requirements]]
        sources = [Path(requirements)]
    directory.parent.mkdir(parents=True, exist_ok=True)
    # Two calls at once: the second waits, then finds the work done.
    with open(f"{directory}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if usable := _made_here(stamp, python, root):
            if all(stamp.stat().st_mtime_ns >= file.stat().st_mtime_ns for file in sources):
                return 0
            stamp.unlink()
        version = ".".join(map(str, sys.version_info[:3]))
        print(f"Setting up {directory} with Python {version}; this takes some minutes.", flush=True)
        if not usable:
            shutil.rmtree(directory, ignore_errors=True)
            venv.create(directory, symlinks=True, with_pip=True)
        pip = [os.fspath(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        for arguments in installs:
            if code := subprocess.call([*pip, *arguments]):
                print(
                    f"error: pip install {' '.join(arguments)} failed (its message is above); "
                    "mend what it names and run make again.",
                    file=sys.stderr,
                )
                return code
        # Make compares times, so the stamp must not be older than what it stands for.
        stamp.write_text(f"{root}\n", "utf-8")
    return 0


def _made_here(stamp: Path, python: Path, root: Path) -> bool:
    """Whether a whole environment stands here, made for this very directory."""
    try:
        made_for = stamp.read_text("utf-8").strip()
        runs = subprocess.run([python, "-c", ""], capture_output=True).returncode == 0
    except OSError:
        return False
    return runs and made_for == os.fspath(root)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python tools/make_venv.py DIRECTORY [REQUIREMENTS]")
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
