"""A Ray cluster of several nodes on the loopback interface, as `ray start` makes one."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import bonescint

_STORE_BYTES = 100_000_000
_START_S = 120.0


class RayCluster:
    """Its nodes are processes of this one, and end with it.

    Attributes:
        address: for `ray.init`.
        client_address: for a client.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        self._nodes: list[subprocess.Popen[bytes]] = []
        self._gcs, self._client = free_port(), free_port()
        self.address = f"127.0.0.1:{self._gcs}"
        self.client_address = f"ray://127.0.0.1:{self._client}"

    def start(self, nodes: int = 2) -> None:
        """Start the head and other nodes, with a core each."""
        head = ("--head", f"--port={self._gcs}", f"--ray-client-server-port={self._client}")
        self.add(*head, f"--temp-dir={self._place}", "--include-dashboard=false")
        _wait_for(self._gcs)
        for _ in range(nodes - 1):
            self.add(f"--address={self.address}")
        import ray

        ray.init(address=self.address, log_to_driver=False, logging_level="ERROR")
        try:
            until = time.monotonic() + _START_S
            while ray.cluster_resources().get("CPU", 0) < nodes and time.monotonic() < until:
                time.sleep(0.2)
        finally:
            ray.shutdown()

    @property
    def logs(self) -> Path:
        """The folder of Ray's logs."""
        return self._place / "session_latest" / "logs"

    @property
    def pids(self) -> list[int]:
        """The processes whose descendants are the cluster."""
        return [node.pid for node in self._nodes]

    def add(self, *words: str) -> None:
        """Start a node."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(Path(bonescint.__file__).parents[1]),
            "RAY_AUTH_MODE": "disabled",  # whatever token the user has
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_BACKEND_LOG_LEVEL": "fatal",
        }
        command = [Path(sys.executable).with_name("ray"), "start", "--block", "--num-cpus=1"]
        node = subprocess.Popen(
            [*command, f"--object-store-memory={_STORE_BYTES}", "--node-ip-address=127.0.0.1",
             "--disable-usage-stats", *words],
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        self._nodes.append(node)

    def stop(self, *, kill: bool = False) -> None:
        """End all nodes, with what runs on them."""
        for node in reversed(self._nodes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(node.pid, signal.SIGKILL if kill else signal.SIGTERM)
        for node in self._nodes:
            try:
                node.wait(8)
            except subprocess.TimeoutExpired:
                os.killpg(node.pid, signal.SIGKILL)
                node.wait()
        self._nodes = []


def free_port() -> int:
    """A free port that neither Ray gives its workers nor the system gives a client meanwhile."""
    while True:
        port = random.randint(20_001, 32_000)  # noqa: S311 - no secret
        with socket.socket() as asked, contextlib.suppress(OSError):
            asked.bind(("127.0.0.1", port))
            return port


def _wait_for(port: int) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.2)
    raise TimeoutError(f"no Ray cluster at port {port}")


@contextlib.contextmanager
def running_cluster(nodes: int = 2) -> Iterator[RayCluster]:
    """A cluster that ends with the block."""
    place = Path(tempfile.mkdtemp(prefix="ray-"))  # short: paths of sockets are limited
    cluster = RayCluster(place)
    try:
        cluster.start(nodes)
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(place, ignore_errors=True)
