"""Peak memory of a training by how many unlabelled texts a teacher answers for it.

    python benchmarks/unlabelled.py --lines 50000 --lines 5000000

Each training runs in a process of its own: the packaged sst2-micro answers lines of random words, and a
student of another shape takes its first steps on them. The figures are those of memory, not of accuracy.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np

from measure import SEED, json_option, show
from streaming import memory

_STEPS = 100
_WORDS = 10
_PART = 100_000


@click.command()
@click.option("--lines", type=int, multiple=True, default=(50_000, 5_000_000), show_default=True)
@click.option("--train", "files", type=click.Path(path_type=Path), nargs=2, hidden=True)
@json_option
def main(lines: tuple[int, ...], files: tuple[Path, Path] | None, as_json: bool) -> None:
    if files is not None:
        return train(*files)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for count in lines:
            file = Path(folder) / f"{count}.txt"
            write_lines(file, count)
            command = [sys.executable, __file__, "--train", str(file), f"{folder}/{count}"]
            found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
            rows.append({"lines": count, **json.loads(found.splitlines()[-1])})
            file.unlink()
    show(rows, "A training with unlabelled texts", as_json, steps=_STEPS)


def write_lines(path: Path, count: int) -> None:
    """So many lines of words drawn at random from the task's training texts."""
    from beex_keras import load_task

    words = np.array(
        sorted({word for text in load_task("rotten_tomatoes").train.texts for word in text.split()})
    )
    generator = np.random.default_rng(SEED)
    with path.open("w", encoding="utf-8") as file:
        for first in range(0, count, _PART):
            rows = generator.choice(words, (min(_PART, count - first), _WORDS))
            file.writelines(" ".join(row) + "\n" for row in rows)


def train(unlabelled: Path, folder: Path) -> None:
    """Trains for some steps, and prints what the process took."""
    import beex_keras as beex
    from beex_keras.backend import tf

    class Stop(tf.keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            self.model.stop_training = batch + 1 >= _STEPS

    started = time.perf_counter()
    beex.train(
        "rotten_tomatoes",
        folder,
        preset="micro",
        num_blocks=2,
        epochs=1,
        teacher="sst2-micro",
        unlabelled=unlabelled,
        callbacks=[Stop()],
        verbose=0,
    )
    seconds = time.perf_counter() - started
    print(json.dumps({"peak MB": round(memory("VmHWM")), "seconds": round(seconds)}))


if __name__ == "__main__":
    main()
