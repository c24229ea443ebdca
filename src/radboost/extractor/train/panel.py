"""Networks of several folds before the same crops, portion by portion; what they said is kept, the crops are not."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from radboost.data.cohort import Cohort
from radboost.data.folder import digest
from radboost.data.progress import Progress
from radboost.extractor.train.batches import ExampleSet, shown
from radboost.extractor.train.checkpoint import read_checkpoint_file, write_checkpoint_file
from radboost.extractor.train.config import TrainConfig
from radboost.extractor.train.crop_file import CropFile
from radboost.extractor.train.examples import Examples
from radboost.extractor.train.network import Classifier
from radboost.nets.device import autocast, device_kind, resolve_device, resolve_precision

__all__ = ["Panel", "margins_of"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_CROPS_BYTES = 1 << 30
"""Of decoded crops that lie on disk at a time."""


def margins_of(network: Classifier, shelf: ExampleSet, numbers: IntArray, config: TrainConfig) -> FloatArray:
    """Let a network see some examples; gives their margins, all targets side by side, and leaves it on the CPU."""
    device = resolve_device(config.device)
    precision = resolve_precision(config.precision, device)
    network.to(device).eval()
    size, found = 2 * config.learn.batch_size, [np.empty((0, network.last.out_features))]
    with torch.inference_mode(), autocast(device, precision):
        for start in range(0, len(numbers), size):
            batch = shelf[numbers[start : start + size].tolist()].to(device)
            found.append(network(shown(batch.pixels), batch.metadata).double().cpu().numpy())
    network.cpu()
    return np.concatenate(found)


@dataclass(frozen=True)
class Panel:
    """Networks, and the examples that they are asked about.

    Attributes
    ----------
    cohort, examples
        Whose crops.
    networks, metadata
        One a fold, and what each is told of the units, (units, columns).
    config
        What a crop is, and where the networks run.
    """

    cohort: Cohort
    examples: Examples
    networks: Sequence[Classifier]
    metadata: Sequence[npt.NDArray[np.float32]]
    config: TrainConfig

    def portions(self, work: Path, made_by: str, progress: Progress) -> Iterator[tuple[IntArray, list[FloatArray]]]:
        """Decode crops portion by portion, each deleted before the next, and let all networks see them.

        Parameters
        ----------
        work
            Folder for the crops and for what was said of them.
        made_by
            Tells the networks from others.
        progress
            Told of decoding.

        Yields
        ------
        tuple
            Numbers of examples (n,), and each network's margins of them (n, margins). Examples whose crop cannot be
            read are in none.
        """
        found = self.examples
        rows = np.unique(found.crop)
        for portion in _parts(rows, max(1, _CROPS_BYTES // (2 * int(np.prod(self.config.pixels.shape))))):
            numbers = np.flatnonzero(np.isin(found.crop, portion)).astype(np.int64)
            path = work / f"said-{self._asked(numbers, made_by)[:24]}.safetensors"
            if path.is_file():
                yield numbers, [each.numpy() for each in read_checkpoint_file(path)["margins"]]
                continue
            crops = CropFile(work / "crops", self.cohort, portion, self.config, "predict")
            crops.fill(progress, strict=False)
            there = numbers[~np.isin(found.crop[numbers], crops.failed)]
            margins = [
                margins_of(network, ExampleSet(found, crops, self._ids, columns), there, self.config)
                for network, columns in zip(self.networks, self.metadata, strict=True)
            ]
            if len(there) == len(numbers):
                # What could not be read is tried again, and told again.
                write_checkpoint_file({"margins": [torch.from_numpy(each) for each in margins]}, path)
            shutil.rmtree(work / "crops")
            yield there, margins

    @property
    def _ids(self) -> npt.NDArray[np.object_]:
        return self.cohort.manifest["crop_id"].to_numpy(object)

    def _asked(self, numbers: IntArray, made_by: str) -> str:
        """Hash of all that the margins of some examples depend on."""
        found, device = self.examples, resolve_device(self.config.device)
        owner = found.owner[numbers]
        told = [hashlib.sha256(columns[owner].tobytes()).hexdigest() for columns in self.metadata]
        place = [device_kind(device), resolve_precision(self.config.precision, device)]
        names = [self._ids[found.crop[numbers]].tolist(), found.unit[owner].tolist()]
        return digest([made_by, self.config.recipe(), place, names, told])


def _parts(rows: IntArray, size: int) -> Sequence[IntArray]:
    return np.array_split(rows, -(-len(rows) // size)) if len(rows) else []
