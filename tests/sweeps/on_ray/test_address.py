"""A cluster that does not answer is said so in seconds; test_several_nodes.py has one that does."""

from __future__ import annotations

import importlib.util
import socket
import sys
from collections.abc import Iterator

import pytest

from rein.config import ConfigError
from rein.sweeps.on_ray import address
from rein.sweeps.on_ray.address import check_address, refusal


@pytest.fixture
def port() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}"])
def test_where_nothing_listens_the_address_the_try_and_the_next_step_are_said(closed: int, form: str) -> None:
    given = form.format(closed)
    with pytest.raises(ConfigError) as error:
        check_address(given)
    text = str(error.value)
    assert f"--address {given}" in text and f"127.0.0.1:{closed}: connection refused" in text
    assert "ray start --head" in text and "\n" not in text


def test_what_listens_but_is_no_head_is_not_waited_for_long(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "ANSWER", 0.5)
    with pytest.raises(ConfigError, match="gave no answer"):
        check_address(f"127.0.0.1:{port}")


def test_the_answer_alone_is_timed_and_not_how_long_ray_takes_to_be_imported(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = "import os, time; time.sleep(3.2); print(flush=True); os._exit(0)"
    monkeypatch.setattr(address, "ANSWER", 3.0)
    monkeypatch.setattr(address, "HELLO", [sys.executable, "-c", slow])
    check_address(f"127.0.0.1:{port}")


def test_auto_means_what_ray_says_it_means(closed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{closed}")
    with pytest.raises(ConfigError, match=rf"--address auto: .*127.0.0.1:{closed}: connection refused"):
        check_address("auto")


@pytest.mark.parametrize("word", ["head", "http://127.0.0.1:8265", "head:", ":6379", "local", "ray://head"])
def test_other_words_are_told_the_forms_that_there_are(word: str) -> None:
    with pytest.raises(ConfigError, match=r"auto, HEAD:6379, or ray://HEAD:10001"):
        check_address(word)


def test_a_client_that_is_not_installed_is_said_so(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'ray\[client\]'"):
        check_address(f"ray://127.0.0.1:{port}")


def test_a_missing_token_has_a_next_step_of_its_own() -> None:
    assert "RAY_AUTH_MODE=token" in str(refusal("auto", "AuthenticationError: no token"))


def test_two_versions_of_ray_are_said_both(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = pytest.importorskip("ray._private.utils")
    monkeypatch.setattr(versions, "compute_version_info", lambda: ("2.59.0", "3.11.2"))
    with pytest.raises(RuntimeError) as error:  # as Ray itself says it
        versions.check_version_info({"ray_version": "2.60.0", "python_version": "3.11.7"}, "node 10.0.0.1")
    assert str(refusal("auto", f"{error.value} ")) == (
        "--address auto: the cluster has Ray 2.60.0 on Python 3.11.7, this process Ray 2.59.0 on Python 3.11.2; "
        "install the same"
    )


@pytest.mark.parametrize("nothing", ["", " \n"])
def test_a_refusal_without_a_word_is_one_all_the_same(nothing: str) -> None:
    assert "no Ray cluster answers" in str(refusal("auto", nothing))
