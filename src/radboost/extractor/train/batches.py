"""Batches of examples for one process: who comes when depends on seed and epoch alone, so that a resume repeats it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from radboost.extractor.train.crop_file import CropFile
from radboost.extractor.train.examples import Examples

__all__ = ["Batch", "ExampleSet", "Mixed", "Order", "deal", "loader", "mix", "shown", "stream_seed"]

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """Examples side by side.

    Attributes
    ----------
    pixels
        (batch, channels, side, side) int16 that carries the bits of uint16.
    ids
        Crop ids.
    metadata
        (batch, columns) float32.
    label, weight
        (batch, targets).
    number
        Of each example.
    """

    pixels: Tensor
    ids: list[str]
    metadata: Tensor
    label: Tensor
    weight: Tensor
    number: Tensor

    def to(self, device: torch.device, *, non_blocking: bool = False) -> Batch:
        """Move the tensors; pytorch asks for this by name."""
        move = {n: v.to(device, non_blocking=non_blocking) for n, v in self.__dict__.items() if torch.is_tensor(v)}
        return Batch(**{**self.__dict__, **move})

    def pin_memory(self) -> Batch:
        """Pin the tensors; pytorch asks for this by name."""
        pinned = {n: v.pin_memory() for n, v in self.__dict__.items() if torch.is_tensor(v)}
        return Batch(**{**self.__dict__, **pinned})


class ExampleSet(Dataset[Batch]):
    """Examples by their numbers, a whole batch at a time.

    Parameters
    ----------
    examples
        What they are.
    crops
        Their pixels.
    ids
        Crop id of each row of the manifest.
    metadata
        Encoded, (units, columns).
    """

    def __init__(
        self, examples: Examples, crops: CropFile, ids: npt.NDArray[np.object_], metadata: npt.NDArray[np.float32]
    ) -> None:
        self._examples, self._crops, self._ids, self._metadata = examples, crops, ids, metadata

    def __len__(self) -> int:
        return len(self._examples)

    @property
    def about(self) -> Examples:
        """Whose they are, with labels and weights."""
        return self._examples

    def __getitem__(self, numbers: list[int]) -> Batch:
        """Read a batch."""
        chosen = np.asarray(numbers, dtype=np.int64)
        found, crop = self._examples, self._examples.crop[chosen]
        unit = found.owner[chosen]
        return Batch(
            torch.from_numpy(self._crops.read(crop).view(np.int16)),
            self._ids[crop].tolist(),
            torch.from_numpy(self._metadata[unit]),
            torch.from_numpy(found.label[unit]),
            torch.from_numpy(found.weight[unit].astype(np.float32)),
            torch.from_numpy(chosen),
        )


class Order(Sampler[list[int]]):
    """Numbers of the examples of each batch of an epoch, this process's part.

    Parameters
    ----------
    deal
        Given an epoch, all its numbers in order.
    epoch
        Asked when an epoch begins.
    size
        Of a batch of one process.
    part
        Number of this process, and how many there are. All have as many batches: what is left over is dealt from the
        beginning again.
    """

    def __init__(
        self, deal: Callable[[int], IntArray], epoch: Callable[[], int], size: int, part: tuple[int, int] = (0, 1)
    ) -> None:
        self._deal, self._epoch, self._size, self._part = deal, epoch, size, part

    def __len__(self) -> int:
        return -(-len(self._deal(self._epoch())) // (self._size * self._part[1]))

    def __iter__(self) -> Iterator[list[int]]:
        rank, world = self._part
        order = self._deal(self._epoch())
        # Each is what one process with as large a batch would see. Sizes differ by one at most: a last batch of one
        # example would leave batch normalisation nothing to normalise by.
        for own in np.array_split(order, len(self)):
            if world > 1 and len(own) % world:
                own = np.concatenate([own, np.resize(order, -len(own) % world)])
            yield own[rank::world].tolist()


def stream_seed(*words: object) -> int:
    """Give a seed of 63 bits for a stream of random numbers named by words."""
    text = "|".join(map(str, ("radboost training", *words)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def deal(labels: IntArray, numbers: IntArray, sampler: str, size: int, seed: int) -> IntArray:
    """Put an epoch's examples in order.

    Parameters
    ----------
    labels
        Class of the first target of each number, -1 unlabelled.
    numbers
        Examples of the epoch.
    sampler
        One of `radboost.extractor.train.config.SAMPLERS`.
    size
        Of a whole batch.
    seed
        Of this epoch.

    Returns
    -------
    ndarray
        As many numbers; with ``weighted`` some stand there more than once, with ``one-positive`` those of the rarest
        class.
    """
    random = np.random.default_rng(seed)
    counts = np.bincount(labels[labels >= 0])
    if sampler == "weighted" and counts.any():
        chance = np.where(labels >= 0, 1.0 / counts[labels.clip(0)], 0.0)
        return random.choice(numbers, len(numbers), p=chance / chance.sum())
    order = random.permutation(len(numbers))
    if sampler == "one-positive" and (counts > 0).sum() > 1:
        rarest = int(np.where(counts > 0, counts, counts.max() + 1).argmin())
        some = np.flatnonzero(labels == rarest)
        for own in np.array_split(order, -(-len(order) // size)):
            if not (labels[own] == rarest).any():
                own[random.integers(len(own))] = random.choice(some)
    return numbers[order]


def loader(examples: ExampleSet, order: Order, *, pin: bool) -> DataLoader[Batch]:
    """Load batches in this process: they are read from a mapped file, which costs less than a process that does it."""
    return DataLoader(examples, sampler=order, batch_size=None, pin_memory=pin)


def shown(pixels: Tensor) -> Tensor:
    """Bring the bits of uint16 that int16 carries to 0..1."""
    return (pixels.to(torch.int32) & 0xFFFF).to(torch.float32) / 65535


@dataclass(frozen=True)
class Mixed:
    """Examples of a batch, each laid over another one of it.

    Attributes
    ----------
    pixels, metadata
        As the network sees them.
    share
        Of the example itself, 0 to 1; the rest is the other's.
    labels
        (label, weight) of the examples themselves and of the others, each (batch, targets).
    """

    pixels: Tensor
    metadata: Tensor
    share: float
    labels: tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]


def mix(pixels: Tensor, batch: Batch, alpha: float, seed: int) -> Mixed:
    """Lay each example over another of the batch (mixup: Zhang et al., ICLR 2018).

    Parameters
    ----------
    pixels
        (batch, channels, side, side) in 0..1, of the batch's examples.
    batch
        Their metadata, labels and weights.
    alpha
        Of the beta distribution from which the batch's share is drawn, above 0.
    seed
        Decides the share and who is laid over whom.
    """
    random = np.random.default_rng(seed)
    share = float(random.beta(alpha, alpha))
    other = torch.from_numpy(random.permutation(len(pixels))).to(pixels.device)
    return Mixed(
        share * pixels + (1 - share) * pixels[other],
        share * batch.metadata + (1 - share) * batch.metadata[other],
        share,
        ((batch.label, batch.weight), (batch.label[other], batch.weight[other])),
    )
