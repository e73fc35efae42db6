"""Our models beside what one would use instead, on real texts: accuracy, bytes, speed, start-up, memory.

    make peers DATA=FOLDER                                  its environment, and all of it
    build/peers-env/bin/python benchmarks/peers fit         what is missing of the peers' training
    build/peers-env/bin/python benchmarks/peers measure     a table

`python benchmarks/peers_page.py FILE` writes docs/peers.md of what `measure --json` printed.

Each contender answers in a process of its own, on one thread, from text to label. Those of a task take
turns, so that whatever else the machine does meets all alike: compare figures within a task only. The
trainings of MiniLM take up to an hour each and go on where they were interrupted.
"""

import sys
from pathlib import Path

import click

sys.path.append(str(Path(__file__).parents[1]))

from contenders import fit
from measuring import measure

main = click.Group(
    "peers",
    commands={"fit": fit, "measure": measure},
    help=(__doc__ or "").split("\n")[0],
)

if __name__ == "__main__":
    main()
