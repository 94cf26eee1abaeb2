"""Files from elsewhere: what they hold is read and never run."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from rein.config import ConfigError
from rein.models import tensor_files


@pytest.mark.parametrize("container", [None, "state_dict", "model"])
def test_tensors_are_found_where_frameworks_keep_them(tmp_path: Path, container: str | None) -> None:
    state = {"a": torch.arange(3), "b": torch.ones(2, 2)}
    torch.save(state if container is None else {container: state, "meta": {"epoch": 3}, "lr": 0.1}, tmp_path / "x.pth")
    found, others = tensor_files.read(tmp_path / "x.pth")
    assert found.keys() == state.keys() and all(torch.equal(found[name], state[name]) for name in state)
    assert others == ([] if container is None else ["lr", "meta"])


def test_safetensors_are_read(tmp_path: Path) -> None:
    save_file({"a": torch.arange(3)}, tmp_path / "x.safetensors")
    assert tensor_files.read(tmp_path / "x.safetensors")[0]["a"].tolist() == [0, 1, 2]


class Program:
    """Writes a file wherever it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


@pytest.mark.parametrize("protocol", [2, 4])
def test_no_pickle_is_run_whatever_its_protocol(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "x.pth").write_bytes(pickle.dumps({"state_dict": Program(tmp_path / "executed")}, protocol))
    with pytest.raises(ConfigError, match=r"x\.pth: (holds more than tensors|not a readable file)"):
        tensor_files.read(tmp_path / "x.pth")
    assert not (tmp_path / "executed").exists()


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    save_file({"a": torch.arange(300)}, tmp_path / "x.safetensors")
    content = (tmp_path / "x.safetensors").read_bytes()
    (tmp_path / "x.safetensors").write_bytes(content[:-9])
    with pytest.raises(ConfigError, match=r"x\.safetensors: not a readable file of tensors \("):
        tensor_files.read(tmp_path / "x.safetensors")
