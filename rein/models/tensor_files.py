"""Files of named tensors from elsewhere, read without executing anything that is in them."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from rein.config import ConfigError

#: Where training frameworks keep the network inside their checkpoints.
_CONTAINERS = ("state_dict", "model_ema", "model", "model_state", "module", "teacher")


def read(path: Path) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors of a .safetensors or PyTorch file, and the names of what else lies in it.

    A PyTorch file is a pickle, which can run any program while it is loaded: only tensors and plain values are taken
    (`weights_only`), anything else refuses the file. Raises ConfigError.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: no such file")
    try:
        content: Any = load_file(path) if path.suffix == ".safetensors" else _unpickled(path)
    except ConfigError:
        raise
    except Exception as error:  # the readers raise many kinds for a broken file
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(f"{path}: not a readable file of tensors ({reason})") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: holds a {type(content).__name__}, not named tensors")
    inside = next((key for key in _CONTAINERS if isinstance(content.get(key), dict)), None)
    state = content if inside is None else content[inside]
    strange = [str(name) for name, value in state.items() if not isinstance(value, Tensor)]
    if strange or not state:
        raise ConfigError(f"{path}: not named tensors: {', '.join(strange[:5]) or 'it is empty'}")
    return dict(state), [] if inside is None else sorted(str(key) for key in content if key != inside)


def _unpickled(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        refused = sorted(set(re.findall(r"GLOBAL ([\w.]+)", str(error))))
        if not refused:
            raise ConfigError(
                f"{path}: not a readable file of tensors (damaged, or a pickle of another kind)"
            ) from None
        raise ConfigError(
            f"{path}: holds more than tensors ({', '.join(refused)}), and loading that could run any program: refused. "
            f"On a machine that trusts the file, write its tensors alone, and give the new file: "
            f'python -c "import torch; '
            f"torch.save({{'state_dict': torch.load('{path.name}', 'cpu', weights_only=False)['state_dict']}}, "
            f"'tensors.pth')\""
        ) from None
