"""A trained network folded for inference: what of its tuning is constant is computed once.

What updates weights (LoRA, SoMA) goes into them. Of Rein (`rein.models.rein`) the tokens, all that is made of them,
and the scalar are constants: `f + s ((S V + f) W_f + b_f) = f + S (s V W_f) + f (s W_f) + s b_f`, V = T W_T + b_T, and
so are the queries of its link. What is left of a layer is one product with W_f and two with the tokens.
"""

from __future__ import annotations

import copy
import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize

from rein.models.rein import Refined, Rein, StageReins
from rein.models.segmenter import Segmenter


class FoldedRein(nn.Module):
    """Rein as constants: keys (N, m, c), values (N, m - 1, c), one or N weights (c, c), queries (m, q)."""

    @torch.no_grad()
    def __init__(self, rein: Rein) -> None:
        super().__init__()
        self.shared, self.softmax = rein.shared, rein.softmax
        tokens = torch.stack([rein.layer_tokens(layer).double() for layer in range(_layers(rein))])  # (N, m, c)
        scale = 1.0 if rein.scale is None else rein.scale.double()
        made, back = _stacked(rein.token_to_feature), _stacked(rein.delta_to_feature)
        values = tokens[:, 1:] @ made[0].mT + made[1][:, None]  # V
        dtype = next(rein.parameters()).dtype
        self.keys = _constant(tokens / math.sqrt(tokens.shape[-1]) if rein.softmax else tokens, dtype)
        self.values = _constant(values @ back[0].mT * scale, dtype)
        self.weight, self.bias = _constant(back[0] * scale, dtype), _constant(back[1] * scale, dtype)
        linked = rein.queries()
        self.linked = None if linked is None else _constant(linked, dtype)

    def forward(self, features: Float[Tensor, "b n c"], layer: int) -> Float[Tensor, "b n c"]:
        """The features that leave block `layer`, refined as `Rein` does."""
        copy = 0 if self.shared else layer
        similarity = features @ self.keys[layer].T  # (B, n, m)
        if self.softmax:
            similarity = similarity.softmax(-1)
        refined = features + similarity[..., 1:] @ self.values[layer]
        return refined + nn.functional.linear(features, self.weight[copy], self.bias[copy])

    def queries(self) -> Float[Tensor, "m q"] | None:
        """The queries linked to the head, or None without a link."""
        return self.linked


def merge(model: Segmenter) -> Segmenter:
    """A folded copy in eval mode: it computes the same and trains no longer. Without constants, a plain copy."""
    merged = copy.deepcopy(model).eval().requires_grad_(False)
    folded = {rein: FoldedRein(rein) for rein in merged.modules() if isinstance(rein, Rein)}
    if not folded:  # none, or folded before
        pass
    elif isinstance(merged.backbone.rein, Rein):
        merged.backbone.rein = folded[merged.backbone.rein]  # type: ignore[assignment]
    elif merged.backbone.rein is not None:
        merged.backbone.rein = StageReins(folded.values())
    for module in merged.modules():
        if isinstance(module, Refined) and folded:
            module.rein = folded[module.rein]  # type: ignore[assignment]
    for module in list(merged.modules()):
        if parametrize.is_parametrized(module):
            _bake(module)
    return merged


@torch.no_grad()
def _bake(module: nn.Module) -> None:
    """Make parametrised tensors plain parameters; torch's own way would change the class, which copies share."""
    assert isinstance(module.parametrizations, nn.ModuleDict)
    values = {name: getattr(module, name).clone() for name in module.parametrizations}
    module.__class__ = parametrize.type_before_parametrizations(module)
    del module.parametrizations
    for name, value in values.items():
        module.register_parameter(name, nn.Parameter(value, requires_grad=False))


def _layers(rein: Rein) -> int:
    return len(rein.tokens if rein.rank is None else rein.tokens_a)


def _stacked(linears: nn.ModuleList) -> tuple[Tensor, Tensor]:
    """Weights (1 or N, out, in) and biases (1 or N, out) in double precision: what is folded is rounded once."""
    weights, biases = zip(*((linear.weight.double(), linear.bias.double()) for linear in linears), strict=True)
    return torch.stack(weights), torch.stack(biases)


def _constant(tensor: Tensor, dtype: torch.dtype) -> nn.Parameter:
    return nn.Parameter(tensor.to(dtype).contiguous(), requires_grad=False)
