"""Whether a Ray cluster answers at an address: known in seconds, where Ray itself tries for a quarter of an hour."""

from __future__ import annotations

import importlib.util
import os
import re
import socket
import subprocess
import sys

from rein.config import ConfigError

CLIENT = "ray://"

#: Seconds for a connection, and for the cluster's first answer on it.
KNOCK, ANSWER = 3.0, 25.0

#: Ray's own question to a cluster's head; in a process of its own, for nothing else ends it in time. It writes a line
#: when it has imported Ray, which from a network disk may take longer than the answer.
ASKING = "from ray.scripts.scripts import cli; print(flush=True); cli()"
HELLO = [sys.executable, "-c", ASKING, "health-check", "--skip-version-check", "--address"]
#: What that exits with where it does not understand the question.
USAGE = 2

#: In Ray's words on two that differ: the cluster's, then ours.
VERSIONS = re.compile(r"Ray: (\S+)\s+Python: (\S+)")

NEXT = (
    "start one (`ray start --head`, docs/clusters.md) and name it: auto on one of its nodes, HEAD:6379 from another "
    "machine of its network, ray://HEAD:10001 through Ray's client; or leave --address out to run on this machine"
)


def resolved(address: str) -> str:
    """The address that is meant: of `auto` the one in Ray's own variable, if that is set, as Ray does."""
    return os.environ.get("RAY_ADDRESS") or address if address == "auto" else address


def check_address(address: str) -> None:
    """Return where a cluster answers. Raises ConfigError, soon after Ray was imported, that says what was tried."""
    real = resolved(address)
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
    if "Version mismatch" in reason and len(versions := VERSIONS.findall(reason)) == 2:
        there, here = (f"Ray {ray} on Python {python}" for ray, python in versions)
        return ConfigError(f"--address {address}: the cluster has {there}, this process {here}; install the same")
    if "Could not find any running Ray instance" in reason:
        reason = "no cluster runs on this machine"
    last = (reason.strip().splitlines() or ["for no reason that Ray gives"])[-1]
    return ConfigError(f"--address {address}: no Ray cluster answers ({last}); {NEXT}")


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
    with subprocess.Popen([*HELLO, address], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as asking:
        assert asking.stdout
        try:
            asking.stdout.readline()  # now it asks
            said = asking.communicate(timeout=ANSWER)[1]
        except subprocess.TimeoutExpired:
            found = "a cluster runs on this machine that" if address == "auto" else "what listens there"
            reason = f"{found} gave no answer within {ANSWER:.0f} s; is it the head's address?"
            raise refusal(address, reason) from None
        finally:
            asking.kill()
    if asking.returncode not in (0, USAGE):
        raise refusal(address, said)
