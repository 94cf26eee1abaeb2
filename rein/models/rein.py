"""Rein: learnable tokens that refine the features between the layers of a frozen backbone (arXiv 2312.04265)."""

from __future__ import annotations

import math
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rein.models.added import Added

#: The patch size in the bounds of the tokens' initial values; the reference's, whatever the backbone's own is.
PATCH = 16


class Rein(Added):
    """The tokens of all layers, the refinement they make (section 3.2), and the queries they lend the head (3.3).

    Shapes: N layers, m tokens, c channels of the backbone, r rank, q width of the head's queries, n patches.

    Args:
        layers, width: N and c.
        token_length: m.
        rank: r of `T_i = A_i B_i`; None makes every `T_i` (m x c) a free parameter.
        shared: one W_T, W_f and W_Q for all layers, or one set per layer.
        link: `replace` and `add` build queries for the head, `none` does not.
        softmax: normalise similarities over the tokens; without it they are not scaled either.
        scale: `learnable` multiplies updates by a scalar that starts at 0.001; `zero_init` starts W_f and b_f at zero.
        query_width: q.
    """

    def __init__(
        self,
        layers: int,
        width: int,
        token_length: int = 100,
        rank: int | None = 16,
        shared: bool = True,
        link: str = "replace",
        softmax: bool = True,
        scale: str = "learnable",
        query_width: int = 256,
    ) -> None:
        super().__init__()
        self.rank, self.shared, self.link, self.softmax = rank, shared, link, softmax
        if rank is None:
            self.tokens = nn.Parameter(torch.empty(layers, token_length, width))
        else:
            self.tokens_a = nn.Parameter(torch.empty(layers, token_length, rank))
            self.tokens_b = nn.Parameter(torch.empty(layers, rank, width))
        copies = 1 if shared else layers
        self.token_to_feature = nn.ModuleList(nn.Linear(width, width) for _ in range(copies))  # W_T
        self.delta_to_feature = nn.ModuleList(nn.Linear(width, width) for _ in range(copies))  # W_f
        self.scale = nn.Parameter(torch.tensor(0.001)) if scale == "learnable" else None
        if link != "none":
            self.token_to_query = nn.ModuleList(nn.Linear(width, query_width) for _ in range(copies))  # W_Q
            self.merge = nn.Linear(3 * query_width, query_width)
        self._initialise()

    def _initialise(self) -> None:
        if self.rank is None:
            bound = math.sqrt(6 / (3 * PATCH**2 + self.tokens.shape[-1]))
            nn.init.uniform_(self.tokens, -bound, bound)
        else:
            bound = math.sqrt(6 / (3 * PATCH**2 + math.sqrt(self.tokens_b.shape[-1] * self.rank)))
            nn.init.uniform_(self.tokens_a, -bound, bound)
            nn.init.uniform_(self.tokens_b, -bound, bound)
        # W_T and W_f: Kaiming-uniform with a = sqrt(5), which is what nn.Linear starts with.
        if self.scale is None:
            self.delta_to_feature.apply(_zero)
        if self.link == "add":
            # The head starts from its own queries and learns how much of the tokens to mix in.
            _zero(self.merge)

    def layer_tokens(self, layer: int) -> Float[Tensor, "m c"]:
        """`T_i`."""
        return self.tokens[layer] if self.rank is None else self.tokens_a[layer] @ self.tokens_b[layer]

    def forward(self, features: Float[Tensor, "b n c"], layer: int) -> Float[Tensor, "b n c"]:
        """Refine the patch features that leave block `layer` (equations 2 to 6)."""
        copy = 0 if self.shared else layer
        tokens = self.layer_tokens(layer)  # (m, c)
        similarity = features @ tokens.T  # (B, n, m)
        if self.softmax:
            similarity = (similarity / math.sqrt(features.shape[-1])).softmax(-1)
        # The first token takes its share of the softmax and gives nothing: a patch that matches none stays as it is.
        change = similarity[..., 1:] @ self.token_to_feature[copy](tokens[1:])  # (B, n, c)
        delta = self.delta_to_feature[copy](change + features)
        return features + (delta if self.scale is None else delta * self.scale)

    def queries(self) -> Float[Tensor, "m q"] | None:
        """The queries linked to the head, or None without a link (equations 7 and 8)."""
        if self.link == "none":
            return None
        tokens = self.tokens if self.rank is None else self.tokens_a @ self.tokens_b  # (N, m, c)
        if self.shared:
            per_layer = self.token_to_query[0](tokens)  # (N, m, q)
        else:
            per_layer = torch.stack([linear(own) for linear, own in zip(self.token_to_query, tokens, strict=True)])
        kinds = torch.stack([per_layer.amax(0), per_layer.mean(0), per_layer[-1]], dim=-1)  # (m, q, 3)
        # Flattened over (channel, kind), as the published `merge` weights have it.
        return self.merge(kinds.flatten(1))


def _zero(module: nn.Module) -> None:
    for parameter in module.parameters(recurse=False):
        nn.init.zeros_(parameter)


class StageReins(nn.ModuleList):
    """The Reins of a hierarchical net, one a stage, as the reference code has them for ResNet and ConvNeXt."""

    def queries(self) -> Float[Tensor, "m q"] | None:
        """The stages' queries summed, or None without a link."""
        queries = [rein.queries() for rein in cast("list[Rein]", list(self))]
        linked = [q for q in queries if q is not None]
        return torch.stack(linked).sum(0) if linked else None


class Refined(nn.Module):
    """A frozen block followed by the refinement of its output; class and register tokens pass unchanged.

    `layout` is how the block passes features on: tokens (B, prefix + n, c), or maps (B, h, w, c) or (B, c, h, w).
    """

    def __init__(self, block: nn.Module, rein: Rein, layer: int, prefix_tokens: int = 0, layout: str = "nlc") -> None:
        super().__init__()
        self.block, self.rein, self.layer = block, rein, layer
        self.prefix_tokens, self.layout = prefix_tokens, layout

    def forward(self, x: Tensor, *args: object, **kwargs: object) -> Tensor:
        x = self.block(x, *args, **kwargs)
        if self.layout == "nhwc":
            return self.rein(x.flatten(1, 2), self.layer).view_as(x)
        if self.layout == "nchw":
            return self.rein(x.flatten(2).transpose(1, 2), self.layer).transpose(1, 2).reshape(x.shape)
        prefix, patches = x[:, : self.prefix_tokens], x[:, self.prefix_tokens :]
        return torch.cat([prefix, self.rein(patches, self.layer)], dim=1)
