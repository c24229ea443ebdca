"""Crops decoded once and read every epoch: one flat file of pixels, which the system caches as far as memory goes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from radboost.data.cohort import Cohort
from radboost.data.crop import Flaw
from radboost.data.folder import digest, read_json, write_json
from radboost.data.jobs import crop_groups, most_in_a_frame, refuse_unboxed
from radboost.data.pool import Failed, Pool, available_cores
from radboost.data.progress import Progress
from radboost.data.quarantine import Quarantine
from radboost.data.render import render_each
from radboost.errors import RadboostError
from radboost.extractor.train.config import TrainConfig

__all__ = ["CropFile"]

WAITING, THERE, FAILED = 0, 1, 2
_GROUP_BYTES = 8 << 20
_AHEAD_BYTES = 32 << 20
_FLUSH = 256


class CropFile:
    """Crops of some rows of a manifest on disk; private, since crops are pixels.

    Two files: the pixels, uint16 (rows, channels, side, side), and one byte a row that says whether they are there. A
    byte is written after its pixels reached the disk, so that a run that was killed goes on with the first crop that
    is not there.

    Parameters
    ----------
    folder
        Where; made when it is not there.
    cohort
        Whose.
    rows
        Rows of the manifest (n,), distinct.
    config
        What a crop is, and how it is decoded.
    step
        Under whose name files that cannot be decoded stand in the cohort's quarantine.
    """

    def __init__(
        self, folder: Path, cohort: Cohort, rows: npt.NDArray[np.int64], config: TrainConfig, step: str = "train"
    ) -> None:
        self._cohort, self._config, self._folder, self._step = cohort, config, folder, step
        self.rows = np.sort(rows)
        shape = (len(rows), *config.pixels.shape)
        ids = cohort.manifest["crop_id"].to_numpy()[self.rows].tolist()
        made_of = digest([config.pixels.as_dict(), ids])
        folder.mkdir(parents=True, exist_ok=True)
        header = folder / "crops.json"
        fresh = not header.is_file() or read_json(header).get("fingerprint") != made_of
        if fresh:
            for name in ("crops.u16", "crops.state"):
                (folder / name).unlink(missing_ok=True)
        try:
            self._open("w+" if fresh else "r+")
        except (OSError, ValueError) as error:
            size = 2 * int(np.prod(shape)) >> 20
            what = "the crops cannot be put on disk"
            raise RadboostError(what, where=folder, got=f"{error}, {size} MiB", do="Free space there") from error
        write_json(header, {"fingerprint": made_of})

    def _open(self, mode: str) -> None:
        count = len(self.rows)
        shape = (count, *self._config.pixels.shape)
        self._pixels = np.memmap(self._folder / "crops.u16", np.uint16, mode, shape=shape)  # type: ignore[call-overload]
        self._state = np.memmap(self._folder / "crops.state", np.uint8, mode, shape=(count,))  # type: ignore[call-overload]

    def __getstate__(self) -> dict[str, object]:
        # Other processes map the files anew: a mapped array would travel as a copy of all its pixels.
        return {n: v for n, v in self.__dict__.items() if n not in ("_pixels", "_state", "_cohort")}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._open("r")

    def fill(self, progress: Progress, *, strict: bool = True) -> None:
        """Decode what is not there yet; files that cannot be decoded go to quarantine.

        Raises
        ------
        RadboostError
            With `strict`: no crop could be decoded.
        """
        left = np.flatnonzero(self._state == WAITING)
        if len(left):
            self._decode(left, progress)
        if strict and not (self._state == THERE).any():
            do = "Look at the paths and at quarantine/ in the cohort"
            raise RadboostError("no crop could be decoded", where=self._cohort.folder, do=do)

    def _decode(self, left: npt.NDArray[np.int64], progress: Progress) -> None:
        policy, config = self._config.pixels, self._config
        refuse_unboxed(self._cohort, policy)
        quarantine = Quarantine(self._cohort.folder, self._step)
        paths = self._cohort.manifest["path"].to_numpy()
        size = 2 * int(np.prod(policy.shape))
        together = max(1, min(most_in_a_frame(self._cohort), _GROUP_BYTES // size))
        workers = config.workers or available_cores()
        ahead = max(2 * workers, min(4 * workers, _AHEAD_BYTES // (size * together)))
        groups = crop_groups(self._cohort, policy, self.rows[left].tolist(), together)
        progress.start("decode", len(left))
        at = 0
        with Pool(workers, config.limits, slot_shape=(together, *policy.shape), ahead=ahead) as pool:
            for item in pool.map(partial(render_each, policy=policy), groups):
                flaw = Flaw(item.reason, item.kind) if isinstance(item, Failed) else None
                for number in range(len(item.job)):
                    made = flaw or item.value[number]  # type: ignore[union-attr]
                    row = int(left[at])
                    if isinstance(made, Flaw):
                        quarantine.add([(str(paths[self.rows[row]]), made.kind, made.reason)])
                        self._state[row] = FAILED
                    else:
                        self._pixels[row] = item.pixels[number]  # type: ignore[union-attr, index]
                    at += 1
                    progress.advance()
                    if at % _FLUSH == 0 or at == len(left):
                        self._settle(left[max(0, at - _FLUSH) : at])

    def _settle(self, rows: npt.NDArray[np.int64]) -> None:
        """Say of crops that they are there, once they are on the disk."""
        self._pixels.flush()
        self._state[rows] = np.where(self._state[rows] == FAILED, FAILED, THERE)
        self._state.flush()

    @property
    def failed(self) -> npt.NDArray[np.int64]:
        """Rows of the manifest that could not be decoded."""
        found: npt.NDArray[np.int64] = self.rows[self._state == FAILED]
        return found

    def read(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint16]:
        """Pixels of rows of the manifest, (rows, channels, side, side)."""
        found: npt.NDArray[np.uint16] = self._pixels[np.searchsorted(self.rows, rows)]
        return found
