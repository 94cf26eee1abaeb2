"""Closed by default: a sweep on this machine opens no door to others."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

CODE = """
import json, psutil
from rein.sweeps.on_ray.start import started

class Worker:
    def ready(self): return True

with started(None):
    import ray
    worker = ray.remote(Worker).remote()
    assert ray.get(worker.ready.remote())
    me = psutil.Process()
    found = [
        (connection.laddr.ip, connection.laddr.port, process.name())
        for process in [me, *me.children(recursive=True)]
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    print(json.dumps(found))
"""

LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


@pytest.mark.slow
def test_every_process_of_a_local_ray_listens_on_loopback_alone() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert len(found) >= 5, "the test sees Ray's sockets"
    assert [door for door in found if door[0] not in LOOPBACK] == []
