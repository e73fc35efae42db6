"""Our models beside what one would use instead, on real texts: accuracy, bytes, speed, start-up, memory.

    make peers DATA=FOLDER                                  its environment, and all of it
    build/peers-env/bin/python benchmarks/peers fit         what is missing of the peers' training
    build/peers-env/bin/python benchmarks/peers measure     a table
    build/peers-env/bin/python benchmarks/peers page FILE   docs/peers.md, of what `measure --json` printed

Each contender answers in a process of its own, on one thread, from text to label. Those of a task take
turns, so that whatever else the machine does meets all alike: compare figures within a task only. The
trainings of MiniLM take up to an hour each and go on where they were interrupted.
"""

import sys
from pathlib import Path

import click

from beex_keras.files import read_text, write_atomically

sys.path.append(str(Path(__file__).parents[1]))

from contenders import fit
from measuring import measure

import peers_page


@click.command()
@click.argument("file", required=False, type=click.Path(exists=True))
def page(file: str | None) -> None:
    """Write docs/peers.md and its figure; with a file, of its figures, which are recorded."""
    if file is not None:
        write_atomically(peers_page.RESULTS, read_text(file, "measurements"))
    peers_page.write()


main = click.Group(
    "peers",
    commands={"fit": fit, "measure": measure, "page": page},
    help=(__doc__ or "").split("\n")[0],
)

if __name__ == "__main__":
    main()
