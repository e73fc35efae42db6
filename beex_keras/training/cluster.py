"""The processes that train one model together: who they are, and how they find each other."""

import dataclasses
import hashlib
import json
import os
import re
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from typing import Any

from beex_keras._version import __version__
from beex_keras.errors import BeexError

VARIABLE = "TF_CONFIG"
"""The environment variable by which TensorFlow's own cluster tools describe a cluster."""

_EXAMPLE = (
    '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'
)
_JOBS = ("chief", "worker")
_GREETING = re.compile(rb"[0-9a-f]{16} \d+\n")
_ATTEMPT_SECONDS = 2.0
_PAUSE_SECONDS = 0.2


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The workers of a cluster, and which of them this process is.

    The chief's address, each "host:port", is the first.
    """

    addresses: tuple[str, ...]
    index: int

    @property
    def digest(self) -> str:
        """What all workers must have in common: the addresses, and this package's version."""
        text = json.dumps([self.addresses, __version__])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_cluster() -> Cluster:
    """The cluster that the environment variable TF_CONFIG describes.

    Raises:
        BeexError: it is missing, is no JSON, or does not describe workers and which one this is.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        needs = f"The strategy multiworker needs the environment variable {VARIABLE}"
        raise BeexError(f"{needs}; set it to {_EXAMPLE}, with another index for each worker.")
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        fix = f"give the likes of {_EXAMPLE}"
        raise BeexError(f"{VARIABLE} is not valid JSON ({error}); {fix}.") from None
    jobs, cluster = _field(values, "cluster", dict), f"The cluster in {VARIABLE}"
    for other in sorted(set(jobs) - set(_JOBS)):
        raise BeexError(f"{cluster} has a job '{other}'; name workers, and at most one chief.")
    chief, workers = (jobs.get(job, []) for job in _JOBS)
    if not isinstance(chief, list) or not isinstance(workers, list):
        raise BeexError(f'The jobs in {VARIABLE} must be lists such as ["host1:2222"].')
    addresses = (*chief, *workers)
    for address in addresses:
        _split(address)
    if not addresses or len(chief) > 1 or len(set(addresses)) < len(addresses):
        needed = "at least one worker, at most one chief, and no address twice"
        raise BeexError(f"{cluster} must have {needed}.")
    task = _field(values, "task", dict)
    job, index = _field(task, "type", str), _field(task, "index", (int, str))
    own = jobs.get(job, [])
    if not str(index).isdecimal() or int(index) >= len(own):
        place = f"{job} {index}, which is not in its cluster"
        raise BeexError(f"The task in {VARIABLE} is {place}; count from 0.")
    return Cluster(addresses, addresses.index(own[int(index)]))


def meet(cluster: Cluster, seconds: float, report: Callable[[str], Any] = lambda _: None) -> None:
    """Waits until all workers are there and can be reached by each other.

    TensorFlow would wait too, but for an hour, deaf to interruptions, and without a word on who is
    missing. Each worker answers at its own address until all others have asked; then the address is
    free again for TensorFlow. `report` is told once, in a sentence, whom this worker is waiting for.

    Raises:
        BeexError: a worker cannot be reached in that time, or belongs to another cluster.
    """
    deadline = time.monotonic() + seconds
    missing = set(range(len(cluster.addresses))) - {cluster.index}
    with _Greeter(cluster, set(missing), deadline) as greeter:
        reported = False
        while missing or greeter.unheard:
            missing = {index for index in sorted(missing) if not _greet(cluster, index)}
            late = sorted(missing | greeter.unheard)
            if not late:
                return
            awaited = " and ".join(cluster.addresses[index] for index in late)
            if time.monotonic() > deadline:
                fix = f"start the same command there too, or correct the addresses in {VARIABLE}"
                raise BeexError(f"No answer from {awaited} within {seconds:g} seconds; {fix}.")
            if not reported:
                report(f"waiting for {awaited}")
                reported = True
            time.sleep(_PAUSE_SECONDS)


class _Greeter(socketserver.ThreadingTCPServer):
    """Answers at this worker's address; `unheard` are the workers that have not asked yet."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, cluster: Cluster, unheard: set[int], deadline: float) -> None:
        self.cluster, self.unheard = cluster, unheard
        _, port = _split(cluster.addresses[cluster.index])
        while True:
            try:
                super().__init__(("", port), _Answer)
                break
            except OSError as error:  # a training that was just killed may still hold it
                if time.monotonic() > deadline:
                    taken = f"Port {port} of this machine cannot be opened ({error.strerror})"
                    fix = f"give this worker another one in {VARIABLE}"
                    raise BeexError(f"{taken}; {fix}.") from None
                time.sleep(_PAUSE_SECONDS)

    def __enter__(self) -> "_Greeter":
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *error: Any) -> None:
        self.shutdown()
        self.server_close()


class _Answer(socketserver.StreamRequestHandler):
    server: _Greeter
    timeout = _ATTEMPT_SECONDS

    def handle(self) -> None:
        cluster = self.server.cluster
        try:
            asked = self.rfile.readline(100)
            self.wfile.write(_greeting(cluster))
        except OSError:  # gone again
            return
        if _GREETING.fullmatch(asked):
            digest, index = asked.decode().split()
            if digest == cluster.digest:
                self.server.unheard.discard(int(index))


def _greeting(cluster: Cluster) -> bytes:
    return f"{cluster.digest} {cluster.index}\n".encode()


def _greet(cluster: Cluster, index: int) -> bool:
    """Whether the worker of that index answers; raises `BeexError` if another cluster's does."""
    address = cluster.addresses[index]
    try:
        with socket.create_connection(_split(address), _ATTEMPT_SECONDS) as connection:
            connection.sendall(_greeting(cluster))
            with connection.makefile("rb") as file:
                answer = file.readline(100)
    except OSError:
        return False
    if not _GREETING.fullmatch(answer):  # such as TensorFlow, in a training that is about to end
        return False
    if answer != _greeting(dataclasses.replace(cluster, index=index)):
        raise BeexError(
            f"What answers at {address} is not worker {index} of this cluster; give all workers "
            f"one cluster in {VARIABLE}, each its own index, and the same version of BEEx-Keras."
        )
    return True


def _field(values: Any, name: str, kind: type | tuple[type, ...]) -> Any:
    value = values.get(name) if isinstance(values, dict) else None
    if not isinstance(value, kind):
        raise BeexError(f"{VARIABLE} lacks a usable '{name}'; give the likes of {_EXAMPLE}.")
    return value


def _split(address: Any) -> tuple[str, int]:
    """Host and port of "host:port"; raises `BeexError` for any other form."""
    host, _, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise BeexError(f"The address {address!r} in {VARIABLE} must have the form host:port.")
    return host.strip("[]"), int(port)
