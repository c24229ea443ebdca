"""What a backbone makes of a crop from which something is missing: a window of pixels, or positions of its last map."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType

import cv2
import numpy as np
import numpy.typing as npt
import torch

from radboost.data.crop import CropInfo, CropJob
from radboost.data.networks import fold_pool
from radboost.data.pool import Done, available_cores
from radboost.data.render import render_each
from radboost.errors import UserError
from radboost.extractor.backbone import Backbone, FoldBackbone, load_backbone, map_shape, pooled_without
from radboost.extractor.batch import choose_batch
from radboost.extractor.config import ExtractConfig
from radboost.extractor.pixels import Shown
from radboost.extractor.windows import Windows
from radboost.extractor.work import decoding_pool
from radboost.nets.device import autocast, resolve_device, resolve_precision

__all__ = ["FILLS", "Probe", "Vectors", "Without", "filled", "shuffled"]

FILLS = ("blur", "black", "grey")
"""What a window of pixels is covered with: the crop blurred over twice the window, black, or the crop's mean grey where
it is not black."""

Pixels = npt.NDArray[np.uint16]
Vectors = Mapping[str, npt.NDArray[np.float32]]
"""Pool name to (images, width), as a store of the same config would hold them."""


@dataclass(frozen=True)
class Without:
    """Embeddings of one crop, each without one window.

    Attributes
    ----------
    windows
        All windows.
    tried
        Numbers of those in which anything changed, rising; the others leave the embedding as it is.
    vectors
        Pool name to (tried, width).
    """

    windows: Windows
    tried: npt.NDArray[np.int64]
    vectors: Vectors


class Probe:
    """A backbone that is asked about single crops; a context manager, since it holds decoding processes.

    Parameters
    ----------
    config
        As the store was made.
    shuffle
        Seed of a shuffling of the weights, see `shuffled`; None leaves them as they are.
    """

    def __init__(self, config: ExtractConfig, shuffle: int | None = None) -> None:
        self.device = resolve_device(config.device)
        self.config = replace(config, precision=resolve_precision(config.precision, self.device))
        self.backbone = load_backbone(config.backbone)
        if shuffle is not None:
            shuffled(self.backbone, shuffle)
        self.backbone.model.to(self.device).to(memory_format=torch.channels_last)
        self._shown = Shown(self.backbone, config.pixels.channels, self.device)
        size = config.batch_size or choose_batch(
            self.backbone, self.device, self.config.precision, config.pixels.channels
        )
        self._batch = size
        self._workers = config.workers or available_cores()
        self._held = ExitStack()
        self._pool = decoding_pool(self.config, self._workers, 1, size)

    def __enter__(self) -> Probe:
        self._held.enter_context(self._pool)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    def crops(self, jobs: Sequence[CropJob]) -> Iterator[tuple[Pixels, CropInfo] | None]:
        """Make crops in order, (channels, size, size) each; None for one that cannot be made."""
        function = partial(render_each, policy=self.config.pixels)
        for item in self._pool.map(function, [(job,) for job in jobs]):
            made = item.value[0] if isinstance(item, Done) else None
            if isinstance(made, CropInfo) and isinstance(item, Done) and item.pixels is not None:
                yield item.pixels[0].copy(), made
            else:
                yield None

    def embed(self, crops: Pixels) -> Vectors:
        """Embed crops (n, channels, size, size)."""
        parts: dict[str, list[npt.NDArray[np.float32]]] = {}
        for start in range(0, len(crops), self._batch):
            with torch.inference_mode(), autocast(self.device, self.config.precision):
                found = self.backbone.embed(self._images(crops[start : start + self._batch]))
            for name, vectors in found.items():
                parts.setdefault(name, []).append(self._as_stored(vectors))
        return {name: np.concatenate(each) for name, each in parts.items()}

    def occluded(self, crop: Pixels, share: float, step: float, fill: str) -> Without:
        """Embed a crop with each window of its pixels covered.

        Parameters
        ----------
        crop
            Shape (channels, size, size).
        share, step
            See `Windows.over`.
        fill
            One of `FILLS`.
        """
        windows = Windows.over((crop.shape[1], crop.shape[2]), share, step)
        side = windows.down[0][1] - windows.down[0][0]
        cover = filled(crop, fill, side)
        changed = (cover != crop).any(axis=0)
        places = list(windows)
        tried = [i for i, (x0, y0, x1, y1) in enumerate(places) if changed[y0:y1, x0:x1].any()]
        parts = []
        for start in range(0, len(tried), self._batch):
            some = tried[start : start + self._batch]
            covered = np.repeat(crop[None], len(some), axis=0)
            for image, number in zip(covered, some, strict=True):
                x0, y0, x1, y1 = places[number]
                image[:, y0:y1, x0:x1] = cover[:, y0:y1, x0:x1]
            parts.append(self.embed(covered))
        names = parts[0] if parts else ()
        vectors = {name: np.concatenate([part[name] for part in parts]) for name in names}
        return Without(windows, np.asarray(tried, dtype=np.int64), vectors)

    def left_out(self, crop: Pixels, share: float, step: float) -> Without:
        """Embed a crop, pooling without each window of positions of the last map.

        Raises
        ------
        UserError
            The network gives tokens that are no square grid, or its one pooling is the class token.
        """
        if set(self.backbone.config.pool) == {"cls"}:
            do = "Give --method occlusion: patches of the last layer have had their say in the class token"
            raise UserError("its class token is no pooling of positions", where=self.backbone.config.name, do=do)
        found: dict[str, npt.NDArray[np.float32]] = {}
        windows = None
        for suffix, network in self._networks():
            with torch.inference_mode(), autocast(self.device, self.config.precision):
                features = network.features(self._images(crop[None]))
            windows = windows or Windows.over(map_shape(features, network.layout), share, step)
            with torch.inference_mode():
                each = pooled_without(features, network.layout, network.config.pool, list(windows))
            for name, vectors in each.items():
                found[name if suffix is None else fold_pool(name, suffix)] = self._as_stored(vectors[0])
        if windows is None:
            raise UserError("holds no network", where=self.backbone.config.name)
        return Without(windows, np.arange(len(windows)), found)

    def _networks(self) -> list[tuple[int | None, Backbone]]:
        if isinstance(self.backbone, FoldBackbone):
            return list(zip(self.backbone.folds, self.backbone.networks, strict=True))
        return [(None, self.backbone)]

    def _images(self, crops: Pixels) -> torch.Tensor:
        sent = torch.from_numpy(np.ascontiguousarray(crops).view(np.int16)).to(self.device)
        return self._shown.clean(self._shown.grey(sent))

    def _as_stored(self, vectors: torch.Tensor) -> npt.NDArray[np.float32]:
        return vectors.float().cpu().numpy().astype(self.config.dtype).astype(np.float32)


def filled(crop: Pixels, fill: str, side: int) -> Pixels:
    """Give what windows of a crop are covered with; see `FILLS`.

    Parameters
    ----------
    crop
        Shape (channels, size, size).
    fill
        One of `FILLS`.
    side
        Of a window, pixels.
    """
    if fill == "black":
        return np.zeros_like(crop)
    if fill == "grey":
        seen = [channel[channel > 0] for channel in crop]
        levels = [round(float(values.mean())) if len(values) else 0 for values in seen]
        return np.stack([np.full(crop.shape[1:], level, np.uint16) for level in levels])
    if fill != "blur":
        raise UserError("knows no such choice", where="--fill", got=fill, do=f"Give one of {', '.join(FILLS)}")
    reach = 2 * side + 1
    return np.stack([cv2.blur(channel, (reach, reach), borderType=cv2.BORDER_REFLECT_101) for channel in crop])


def shuffled(backbone: Backbone, seed: int) -> None:
    """Destroy what a backbone has learnt, in place: the numbers within each of its weight matrices change places.

    Scales, offsets and running statistics of normalisations stay, so that the network's activations keep their size.

    Parameters
    ----------
    backbone
        The network.
    seed
        Of the order.
    """
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in backbone.model.parameters():
            if weights.ndim > 1:
                order = torch.randperm(weights.numel(), generator=random)
                weights.copy_(weights.flatten()[order].reshape(weights.shape))
