"""One contender in a process of its own, with its libraries and no others, on one thread.

    python worker.py fit SPECIFICATION      trains and writes what it needs
    python worker.py once SPECIFICATION     answers one text and ends
    python worker.py serve SPECIFICATION    answers requests, a line of JSON each, until its input ends

A specification is JSON: the module, and what its function gets. A request has texts and a batch size, the
answer their class numbers and the seconds that it took, from text to number.
"""

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
sys.path[:0] = [str(FOLDER.parent), str(FOLDER.parents[1])]  # benchmarks, and the package


def fit(module: Any, task: str, data_dir: str | None, folder: str, seed: int) -> None:
    import corpora

    module.fit(corpora.load(task, data_dir), Path(folder), seed)


def once(classify: Any, text: str) -> None:
    print(json.dumps([int(number) for number in classify([text])]))


def serve(classify: Any) -> None:
    for line in sys.stdin:
        request = json.loads(line)
        texts, batch = request["texts"], request["batch"]
        start = time.perf_counter()
        parts = [classify(texts[first : first + batch]) for first in range(0, len(texts), batch)]
        seconds = time.perf_counter() - start
        answers = [int(number) for part in parts for number in part]
        print(json.dumps({"seconds": seconds, "answers": answers}), flush=True)


def main(command: str, specification: str) -> None:
    wanted = json.loads(specification)
    module = importlib.import_module(wanted["module"])
    if command == "fit":
        fit(module, **wanted["fit"])
        return
    options = dict(wanted["load"])
    if "folder" in options:
        options["folder"] = Path(options["folder"])
    classify = module.load(**options)
    if command == "once":
        once(classify, wanted["text"])
    else:
        serve(classify)


if __name__ == "__main__":
    main(*sys.argv[1:])
