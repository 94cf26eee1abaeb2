"""Whether a Ray cluster answers at an address: known in seconds, where Ray itself tries for a quarter of an hour."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys

from rein.config import ConfigError

CLIENT = "ray://"

#: Seconds for a connection, and for the cluster's first answer on it.
KNOCK, ANSWER = 3.0, 25.0

#: Ray's own question to a cluster's head; in a process of its own, for nothing else ends it in time.
HELLO = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--skip-version-check", "--address"]
#: What that exits with where it does not understand the question.
USAGE = 2

NEXT = (
    "start one (`ray start --head`, docs/clusters.md) and name it: auto on one of its nodes, HEAD:6379 from another "
    "machine of its network, ray://HEAD:10001 through Ray's client; or leave --address out to run on this machine"
)


def check_address(address: str) -> None:
    """Return where a cluster answers. Raises ConfigError, half a minute later at most, that says what was tried."""
    real = os.environ.get("RAY_ADDRESS") or address if address == "auto" else address
    if real != "auto":
        _knock(address, real.removeprefix(CLIENT))
    if not real.startswith(CLIENT):
        _hello(address)
    elif importlib.util.find_spec("grpc") is None:
        raise ConfigError(f"--address {address}: Ray's client is not installed; `pip install 'ray[client]'`")


def refusal(address: str, reason: str) -> ConfigError:
    """What to say of a cluster that does not let us in, for that reason in Ray's words or ours."""
    if any(word in reason for word in ("AuthToken", "AuthenticationError", "Unauthenticated")):
        return ConfigError(
            f"--address {address}: the cluster asks for its token and did not get it; set RAY_AUTH_MODE=token, and "
            "RAY_AUTH_TOKEN_PATH (default ~/.ray/auth_token) or RAY_AUTH_TOKEN to what it was started with"
        )
    if "Could not find any running Ray instance" in reason:
        reason = "no cluster runs on this machine"
    return ConfigError(f"--address {address}: no Ray cluster answers ({reason.strip().splitlines()[-1]}); {NEXT}")


def _knock(address: str, place: str) -> None:
    """Raise ConfigError where nothing takes a connection at `HOST:PORT`."""
    host, colon, port = place.rpartition(":")
    if not (host and colon and port.isdecimal() and "/" not in host):
        raise ConfigError(
            f"--address {address}: no address of a Ray cluster, which reads auto, HEAD:6379, or ray://HEAD:10001"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK).close()
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise refusal(address, f"{place}: {reason.lower()}") from None


def _hello(address: str) -> None:
    """Raise ConfigError where no cluster answers there."""
    try:
        done = subprocess.run([*HELLO, address], capture_output=True, text=True, timeout=ANSWER)
    except subprocess.TimeoutExpired:
        found = "a cluster runs on this machine that" if address == "auto" else "what listens there"
        reason = f"{found} gave no answer within {ANSWER:.0f} s; is it the head's address?"
        raise refusal(address, reason) from None
    if done.returncode not in (0, USAGE):
        raise refusal(address, done.stderr or "it was asked for its health")
