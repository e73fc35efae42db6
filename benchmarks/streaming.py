"""Classify the lines of a file in a stream, in a process that does nothing else: for throughput.py.

    python benchmarks/streaming.py MODEL FILE THREADS

It prints JSON: texts; seconds, and processor's seconds, from the first text to the last answer; MB that the
process has when the model is loaded, after a tenth of the texts and at the end; its peak in MB; and whether
TensorFlow was imported.
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import beex_keras as beex


def memory(field: str, process: int | str = "self") -> float:
    """Of a process, by default this one, in MB."""
    status = Path(f"/proc/{process}/status").read_text("ascii")
    (line,) = (line for line in status.splitlines() if line.startswith(f"{field}:"))
    return 1024e-6 * int(line.split()[1])


def lines(path: str) -> Iterator[str]:
    with open(path, encoding="utf-8") as file:
        yield from map(str.rstrip, file)


def main(model: str, path: str, num_threads: int) -> None:
    texts = sum(1 for _ in lines(path))
    answers = beex.pipeline(model, num_threads=num_threads).stream(lines(path))
    found: dict[str, float] = {"texts": texts, "MB at start": memory("VmRSS")}
    started, processor = time.perf_counter(), time.process_time()
    for number, _ in enumerate(answers, 1):
        if number == texts // 10:
            found["MB at a tenth"] = memory("VmRSS")
    found["seconds"] = time.perf_counter() - started
    found["processor's seconds"] = time.process_time() - processor
    found["MB at the end"] = memory("VmRSS")
    found["peak MB"] = max(
        memory("VmHWM"), found["MB at the end"]
    )  # the system's peak lags a little
    print(json.dumps({**found, "imports tensorflow": "tensorflow" in sys.modules}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
