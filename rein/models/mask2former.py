"""The Mask2Former head: queries, masked attention, one prediction after every layer, and semantic inference.

Mask2Former (arXiv 2112.01527) section 3; the link from Rein's tokens to the queries: Rein (arXiv 2312.04265).
"""

from collections.abc import Sequence
from itertools import product
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rein.models.pixel_decoder import LEVELS, FeedForward, PixelDecoder, sine_positions

QuerySource = Literal["own", "replace", "add"]


class Prediction(NamedTuple):
    """What one decoder layer says: for each query a class (the last one means "no object") and a mask."""

    class_logits: Tensor  # (B, Q, K + 1)
    mask_logits: Tensor  # (B, Q, h, w), at the finest feature stride


def attention_mask(mask_logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Where each query may read: the pixels its mask (B, Q, h, w) covers at `size`, all if it covers none.

    Returns bool (B, 1, Q, size[0] * size[1]), True = may read, one mask for all heads; no gradient.
    """
    masks = F.interpolate(mask_logits.detach(), size=size, mode="bilinear", align_corners=False)
    return may_read(masks.flatten(2))


def may_read(logits: Tensor) -> Tensor:
    """Mask logits (B, Q, S) at the resolution that is read -> bool (B, 1, Q, S), as `attention_mask`."""
    covered = logits >= 0  # sigmoid >= 0.5
    return (covered | ~covered.any(-1, keepdim=True)).unsqueeze(1)


class Attention(nn.Module):
    """Multi-head attention with packed projections, scaled_dot_product_attention inside."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(width, 3 * width)  # query, key, value
        self.output = nn.Linear(width, width)
        for linear in (self.project, self.output):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
        """query (B, Q, width), key and value (B, S, width), mask (B, 1, Q, S) -> (B, Q, width)."""
        width = query.shape[-1]
        if query is key:  # self-attention: one product for both
            sizes, inputs = [2 * width, width], (query, value)
        else:
            sizes, inputs = [width] * 3, (query, key, value)
        weights, biases = self.project.weight.split(sizes), self.project.bias.split(sizes)
        projected = list(map(F.linear, inputs, weights, biases))
        if query is key:
            projected[:1] = projected[0].chunk(2, dim=-1)
        q, k, v = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in projected)  # (B, heads, ., d)
        return self.output(F.scaled_dot_product_attention(q, k, v, mask).transpose(1, 2).flatten(2))


class DecoderLayer(nn.Module):
    """Masked cross-attention, self-attention, feed-forward: each residual, then normalised."""

    def __init__(self, width: int, heads: int, ffn: int) -> None:
        super().__init__()
        self.cross_attention = Attention(width, heads)
        self.cross_norm = nn.LayerNorm(width)
        self.self_attention = Attention(width, heads)
        self.self_norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, ffn)

    def forward(self, query: Tensor, position: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        """query, position (B, Q, width); key, value (B, S, width); mask (B, 1, Q, S) -> (B, Q, width)."""
        query = self.cross_norm(query + self.cross_attention(query + position, key, value, mask))
        placed = query + position
        query = self.self_norm(query + self.self_attention(placed, placed, query))
        return self.feed_forward(query)


class Mask2FormerHead(nn.Module):
    """Pixel decoder and masked-attention decoder; `query_source` says where the queries come from.

    own: learned query features and position embeddings. replace (Rein): the linked queries (m, width) are the
    position embedding and Linear(linked) the query features; nothing is learned per query. add: learned plus
    linked ones; that linear starts at zero, so with a link whose last layer does too it starts as "own".
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        num_classes: int = 19,
        width: int = 256,
        encoder_layers: int = 6,
        decoder_layers: int = 9,
        heads: int = 8,
        queries: int = 100,
        ffn: int = 2048,
        encoder_ffn: int = 1024,
        points: int = 4,
        query_source: QuerySource = "own",
        scales: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
    ) -> None:
        super().__init__()
        self.width, self.queries, self.query_source = width, queries, query_source
        self.pixel_decoder = PixelDecoder(in_channels, width, encoder_layers, heads, points, encoder_ffn, scales)
        self.layers = nn.ModuleList(DecoderLayer(width, heads, ffn) for _ in range(decoder_layers))
        self.norm = nn.LayerNorm(width)
        self.level_embed = nn.Parameter(torch.randn(LEVELS, width))
        self.class_embed = nn.Linear(width, num_classes + 1)
        self.mask_embed = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)
        )
        # Last, so that heads of one seed start alike in all that they share, whatever their queries are.
        if query_source != "replace":
            self.query_embed = nn.Parameter(torch.randn(queries, width))
            self.query_feat = nn.Parameter(torch.randn(queries, width))
        if query_source != "own":
            self.link_to_feature = nn.Linear(width, width)
        if query_source == "add":
            nn.init.zeros_(self.link_to_feature.weight)
            nn.init.zeros_(self.link_to_feature.bias)

    def forward(self, features: list[Tensor], linked: Tensor | None = None) -> list[Prediction]:
        """Four maps, finest first, and linked queries (m, width) -> first prediction and one per layer."""
        return self._decode(features, linked, every=True)

    def last(self, features: list[Tensor], linked: Tensor | None = None) -> Prediction:
        """The prediction after the last layer alone: what inference needs, without the full masks of the others."""
        return self._decode(features, linked, every=False)[-1]

    def scores(self, features: list[Tensor], linked: Tensor | None, size: tuple[int, int]) -> Tensor:
        """Class scores (B, K, *size) of the last prediction."""
        return semantic_inference(self.last(features, linked), size)

    def _decode(self, features: list[Tensor], linked: Tensor | None, every: bool) -> list[Prediction]:
        feature, position = self._queries(linked)
        mask_features, memory = self.pixel_decoder(features)
        query = feature.expand(mask_features.shape[0], -1, -1)  # (B, Q, width)
        values = [m.flatten(2).transpose(1, 2) + e for m, e in zip(memory, self.level_embed, strict=True)]
        keys = [value + sine_positions(m) for value, m in zip(values, memory, strict=True)]  # (B, S, width)
        small = self._resized(mask_features.detach(), memory)
        queries = [query]
        for index, layer in enumerate(self.layers):
            level = index % LEVELS
            with torch.no_grad():
                mask = may_read(self._embed(query)[1] @ small[level])
            query = layer(query, position, keys[level], values[level], mask)
            queries.append(query)
        if not every:
            return [self._predict(query, mask_features)]
        # All predictions at once: one product, and one of each gradient, instead of a sum over ten.
        classes, masks = self._predict(torch.cat(queries, dim=1), mask_features)
        parts = (len(queries), -1)
        return [
            Prediction(*p)
            for p in zip(classes.unflatten(1, parts).unbind(1), masks.unflatten(1, parts).unbind(1), strict=True)
        ]

    def _resized(self, mask_features: Tensor, memory: list[Tensor]) -> list[Tensor]:
        """Mask features at the sizes of the memory, (B, width, S) each.

        A bilinear resize commutes with the product with a query, so what `attention_mask` does to the masks of every
        prediction is done once and to the features.
        """
        sizes = [m.shape[-2:] for m in memory]
        return [F.interpolate(mask_features, size=s, mode="bilinear", align_corners=False).flatten(2) for s in sizes]

    def _queries(self, linked: Tensor | None) -> tuple[Tensor, Tensor]:
        """Query features and position embeddings, each (Q, width)."""
        if self.query_source == "own":
            if linked is not None:
                raise ValueError("query_source 'own' takes no linked queries; use 'replace' or 'add'")
            return self.query_feat, self.query_embed
        if linked is None:
            raise ValueError(f"query_source {self.query_source!r} needs the linked queries (m, {self.width})")
        if linked.ndim != 2 or linked.shape[1] != self.width:
            raise ValueError(f"linked queries must be (m, {self.width}), got {tuple(linked.shape)}")
        if self.query_source == "replace":
            return self.link_to_feature(linked), linked
        if linked.shape[0] != self.queries:
            raise ValueError(f"query_source 'add' needs {self.queries} linked queries, got {linked.shape[0]}")
        return self.query_feat + self.link_to_feature(linked), self.query_embed + linked

    def _embed(self, query: Tensor) -> tuple[Tensor, Tensor]:
        """query (B, Q, width) -> normalised, and its mask embedding, both (B, Q, width)."""
        query = self.norm(query)
        return query, self.mask_embed(query)

    def _predict(self, query: Tensor, mask_features: Tensor) -> Prediction:
        """query (B, Q, width), mask_features (B, width, h, w) -> Prediction."""
        query, embedding = self._embed(query)
        mask_logits = embedding @ mask_features.flatten(2)  # (B, Q, h * w)
        return Prediction(self.class_embed(query), mask_logits.unflatten(-1, mask_features.shape[-2:]))


def semantic_inference(prediction: Prediction, size: tuple[int, int], tile: int | None = None) -> Tensor:
    """Class scores (B, K, *size): softmax(class) without "no object" times sigmoid(mask), over all queries.

    Masks are upsampled to `size` before the sigmoid. The scores of a pixel do not sum to one. It goes by bands of rows
    of at most `tile` mask values, so that no mask is ever whole at that size; by default a band fits a core's cache.
    """
    with torch.autocast(prediction.mask_logits.device.type, enabled=False):
        classes = prediction.class_logits.float().softmax(-1)[..., :-1].mT  # (B, K, Q)
        masks = prediction.mask_logits.float()
        if torch.compiler.is_compiling():  # one graph for every size and batch
            whole = F.interpolate(masks, size, mode="bilinear", align_corners=False)
            return (classes @ whole.sigmoid().flatten(2)).unflatten(-1, size)
        tile = tile or (2**20 if masks.device.type == "cpu" else 2**26)
        rows = max(1, tile // (masks.shape[1] * size[1]))
        scores = masks.new_empty(*classes.shape[:2], *size)
        low, high, share = _row_pairs(masks.shape[2], size[0], masks)
        for (b, of_image), top in product(enumerate(masks), range(0, size[0], rows)):
            band = slice(top, top + rows)
            # rows first, then columns: the same weights as both at once
            read = torch.lerp(of_image[:, low[band]], of_image[:, high[band]], share[band])  # (Q, rows, w)
            read = F.interpolate(read[None], (read.shape[1], size[1]), mode="bilinear", align_corners=False)[0]
            scores[b, :, band] = (classes[b] @ read.sigmoid_().flatten(1)).unflatten(1, read.shape[1:])
        return scores


def _row_pairs(length: int, size: int, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The two rows of `length` that each of `size` rows lies between, and the share (size, 1) of the second."""
    place = ((torch.arange(size, device=like.device, dtype=like.dtype) + 0.5) * (length / size) - 0.5).clamp(min=0)
    low = place.long()
    return low, (low + 1).clamp(max=length - 1), (place - low)[:, None]
