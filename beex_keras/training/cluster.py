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

    Attributes:
        addresses: "host:port" of every worker, the chief first.
        index: of this process in `addresses`; 0 is the chief.
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
        raise BeexError(
            f"The strategy multiworker needs the environment variable {VARIABLE}; set it to "
            f"{_EXAMPLE}, with another index for each worker."
        )
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise BeexError(
            f"{VARIABLE} is not valid JSON ({error}); give the likes of {_EXAMPLE}."
        ) from None
    jobs = _field(values, "cluster", dict)
    others = sorted(set(jobs) - set(_JOBS))
    if others:
        raise BeexError(
            f"The cluster in {VARIABLE} has a job '{others[0]}'; name workers, and at most one chief."
        )
    job_addresses = {job: jobs.get(job, []) for job in _JOBS}
    if not all(isinstance(addresses, list) for addresses in job_addresses.values()):
        raise BeexError(f'The jobs in {VARIABLE} must be lists such as ["host1:2222"].')
    addresses = tuple(address for job in _JOBS for address in job_addresses[job])
    for address in addresses:
        _split(address)
    if not addresses or len(job_addresses["chief"]) > 1 or len(set(addresses)) < len(addresses):
        raise BeexError(
            f"The cluster in {VARIABLE} must have at least one worker, at most one chief, and no "
            "address twice."
        )
    task = _field(values, "task", dict)
    job, index = _field(task, "type", str), _field(task, "index", (int, str))
    own = job_addresses.get(job, [])
    if not str(index).isdecimal() or int(index) >= len(own):
        raise BeexError(
            f"The task in {VARIABLE} is {job} {index}, which is not in its cluster; count from 0."
        )
    return Cluster(addresses, addresses.index(own[int(index)]))


def meet(
    cluster: Cluster, seconds: float, report: Callable[[str], None] = lambda sentence: None
) -> None:
    """Waits until all workers are there and can be reached by each other.

    TensorFlow would wait too, but for an hour, deaf to interruptions, and without a word on who is
    missing. Each worker answers at its own address until all others have asked; then the address is
    free again for TensorFlow.

    Args:
        cluster: whose workers meet.
        seconds: that they have for it.
        report: told once, in a sentence, whom this worker is waiting for.

    Raises:
        BeexError: a worker cannot be reached in that time, or belongs to another cluster.
    """
    deadline = time.monotonic() + seconds
    missing = set(range(len(cluster.addresses))) - {cluster.index}
    with _Greeter(cluster, set(missing), deadline) as greeter:
        reported = False
        while missing or greeter.unheard:
            for index in sorted(missing):
                if _greet(cluster, index):
                    missing.discard(index)
            waiting_for = [cluster.addresses[index] for index in sorted(missing | greeter.unheard)]
            if not waiting_for:
                return
            if time.monotonic() > deadline:
                raise BeexError(
                    f"No answer from {' and '.join(waiting_for)} within {seconds:g} seconds; start "
                    f"the same command there too, or correct the addresses in {VARIABLE}."
                )
            if not reported:
                report(f"waiting for {' and '.join(waiting_for)}")
                reported = True
            time.sleep(_PAUSE_SECONDS)


class _Greeter(socketserver.ThreadingTCPServer):
    """Answers at this worker's address, and notes who asked.

    Attributes:
        unheard: indices of the workers that have not asked yet.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, cluster: Cluster, unheard: set[int], deadline: float) -> None:
        self.cluster = cluster
        self.unheard = unheard
        _, port = _split(cluster.addresses[cluster.index])
        while True:
            try:
                super().__init__(("", port), _Answer)
                break
            except OSError as error:  # a training that was just killed may still hold it
                if time.monotonic() > deadline:
                    raise BeexError(
                        f"Port {port} of this machine cannot be opened ({error.strerror}); give "
                        f"this worker another one in {VARIABLE}."
                    ) from None
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
    """Whether the worker of that index answers.

    Raises:
        BeexError: what answers there belongs to another cluster.
    """
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
            f"What answers at {address} is not worker {index} of this cluster; give all workers the "
            f"same cluster in {VARIABLE}, each its own index, and the same version of BEEx-Keras."
        )
    return True


def _field(values: Any, name: str, kind: type | tuple[type, ...]) -> Any:
    value = values.get(name) if isinstance(values, dict) else None
    if not isinstance(value, kind):
        raise BeexError(f"{VARIABLE} lacks a usable '{name}'; give the likes of {_EXAMPLE}.")
    return value


def _split(address: Any) -> tuple[str, int]:
    """Host and port of "host:port".

    Raises:
        BeexError: it has another form.
    """
    host, _, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise BeexError(f"The address {address!r} in {VARIABLE} must have the form host:port.")
    return host.strip("[]"), int(port)
