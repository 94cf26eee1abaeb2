"""Weights from the hub are downloaded once a node, however many runs start there at once.

The lock is huggingface_hub's own (a file beside the cache in HF_HOME), so there is none of ours; here it is held to it.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import safetensors.torch
import timm

from tests.waiting import comes

NAME = "test_vit.r160_in1k"

#: So many runs of one node that ask for the same weights in the same moment; the last line is what they got.
RUNS = 8
PROGRAM = f"""
import hashlib, multiprocessing, sys
import safetensors.torch
from rein.models import vfm

def run(start, digests):
    start.wait()
    digests.put(hashlib.sha256(safetensors.torch.save(vfm.fetch({NAME!r}))).hexdigest())

fork = multiprocessing.get_context("fork")
start, digests = fork.Barrier({RUNS}), fork.Queue()
runs = [fork.Process(target=run, args=(start, digests)) for _ in range({RUNS})]
for one in runs:
    one.start()
print(*[digests.get(timeout=600) for _ in runs])
"""


class Hub(ThreadingHTTPServer):
    """A stand-in for the hub on the loopback that has one file, and counts what is asked of it."""

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.content, self.asked = content, Counter[str]()
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Answer(BaseHTTPRequestHandler):
    """One request: facts of the file by HEAD, its content by GET, and that slowly."""

    server: Hub

    def do_HEAD(self) -> None:
        found = self.path.endswith(f"{NAME}/resolve/main/model.safetensors")
        self.send_response(200 if found else 404)
        facts = {
            "ETag": f'"{hashlib.sha256(self.server.content).hexdigest()}"',
            "X-Repo-Commit": "0" * 40,
            "Content-Length": str(len(self.server.content) if found else 0),
        }
        for key, value in facts.items():
            self.send_header(key, value)
        self.end_headers()
        self.server.asked[f"{self.command} {found}"] += 1

    def do_GET(self) -> None:
        self.do_HEAD()
        if "model.safetensors" in self.path:
            assert comes(lambda: self.server.asked["HEAD True"] == RUNS), "all have come, and wait"
            self.wfile.write(self.server.content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: pytest has its own words."""


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub(safetensors.torch.save(timm.create_model(NAME, num_classes=0).state_dict()))
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_eight_runs_that_start_on_one_node_download_once(hub: Hub, tmp_path: Path) -> None:
    patience = {"HF_HUB_ETAG_TIMEOUT": "240", "HF_HUB_DOWNLOAD_TIMEOUT": "240"}
    places = {"HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}", "HF_HOME": str(tmp_path), **patience}
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")} | places
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [hashlib.sha256(hub.content).hexdigest()] * RUNS
    assert hub.asked["HEAD True"] == RUNS, "each asked whether its copy is the newest"
    assert hub.asked["GET True"] == 1
