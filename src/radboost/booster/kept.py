"""Finished fits on disk, so that a run that was killed goes on where it was."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from radboost.booster.fits import Done, Job
from radboost.booster.forest import Forest
from radboost.booster.learner import Fitted, load_fitted
from radboost.booster.member import MemberModel
from radboost.booster.raw import load_prepared
from radboost.booster.rows import FloatArray
from radboost.booster.tune import Trial
from radboost.data.folder import digest, new_folder, read_header, read_json, write_header, write_json
from radboost.errors import FormatError, UserError

__all__ = ["Kept", "KeptParts"]

KIND, FORMAT = "fits", 1


class Kept:
    """A folder of finished fits that belong to one fingerprint.

    Parameters
    ----------
    folder
        Made where it is absent. One of another fingerprint, such as other settings or labels, is begun anew.
    fingerprint
        Of all that shapes a fit.

    Raises
    ------
    UserError
        The folder is something else, or cannot be written.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder, self.fingerprint = folder, fingerprint
        if folder.is_dir() and any(folder.iterdir()):
            if not (folder / f"{KIND}.json").is_file():
                raise UserError("holds something else than finished fits", where=folder, do="Move it away")
            if self._fingerprint() == fingerprint:
                return
            shutil.rmtree(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_header(folder, KIND, FORMAT, {"fingerprint": fingerprint})
        except OSError as error:
            do = "Choose another --out"
            raise UserError("cannot be written", where=folder, got=error.strerror, do=do) from error

    def _fingerprint(self) -> str:
        try:
            return str(read_header(self.folder, KIND, FORMAT).get("fingerprint"))
        except FormatError:
            return ""

    def find(self, job: Job) -> Done | None:
        """Give the outcome of a job that was finished before; None where it was not, or is damaged."""
        place = self._place(job)
        if not (place / "fit.json").is_file():
            return None
        try:
            content = read_json(place / "done.json")
            blocks = content["blocks"]
            p = load_file(place / "p.safetensors")
            models = tuple(
                {block: MemberModel.load(place / str(number) / block) for block in own}
                for number, own in enumerate(blocks)
            )
            known = tuple({block: p[f"{n}/{block}"] for block in own} for n, own in enumerate(blocks))
            trials = tuple(Trial.from_dict(t) for t in content["trials"])
            return Done(models, known, load_prepared(place / "prepared"), content["settings"], trials)
        except (FormatError, KeyError, TypeError, OSError, SafetensorError):
            return None

    def add(self, job: Job, done: Done) -> None:
        """Write an outcome, whole or not at all; raises RadboostError where that fails."""
        place = self._place(job)
        if place.exists():
            shutil.rmtree(place)
        with new_folder(place, "fit") as folder:
            p: dict[str, FloatArray] = {}
            for number, own in enumerate(done.models):
                for block, model in own.items():
                    model.save(folder / str(number) / block)
                    p[f"{number}/{block}"] = np.ascontiguousarray(done.p[number][block])
            save_file(p, folder / "p.safetensors")
            done.prepared.save(folder / "prepared")
            content = {
                "blocks": [list(own) for own in done.models],
                "settings": dict(done.settings),
                "trials": [trial.to_dict() for trial in done.trials],
            }
            write_json(folder / "done.json", content)
            write_header(folder, "fit", FORMAT, {"job": list(job)})

        self._drop_parts(job)

    def parts(self, job: Job, settings: Mapping[str, float]) -> KeptParts:
        """Give where single fits of a job are kept until `add` is told of all of it."""
        return KeptParts(self._parts(job) / digest(dict(settings))[:16])

    def _drop_parts(self, job: Job) -> None:
        if self._parts(job).exists():
            shutil.rmtree(self._parts(job))

    def _parts(self, job: Job) -> Path:
        return self._place(job).with_name(self._place(job).name + ".parts")

    def _place(self, job: Job) -> Path:
        return self.folder / quote(job.name, safe="")


@dataclass(frozen=True)
class KeptParts:
    """A folder of single fits of trees, one learner on one fold under one setting; see `radboost.booster.member.Parts`.

    Attributes
    ----------
    folder
        Made with the first of them.
    """

    folder: Path

    def find(self, name: str) -> Fitted | None:
        """Give what was added under this name; None where there is nothing whole."""
        place = self.folder / quote(name, safe="")
        if not (place / "part.json").is_file():
            return None
        try:
            fitted, kept = load_fitted(place), load_file(place / "inner.safetensors")
            return replace(fitted, inner=kept["inner"]) if isinstance(fitted, Forest) else None
        except (FormatError, KeyError, OSError, SafetensorError):
            return None

    def add(self, name: str, fitted: Fitted) -> None:
        """Write a fit, whole or not at all; raises RadboostError where that fails."""
        place = self.folder / quote(name, safe="")
        if place.exists():
            shutil.rmtree(place)
        place.parent.mkdir(parents=True, exist_ok=True)
        with new_folder(place, "part") as folder:
            fitted.save(folder)
            save_file({"inner": np.ascontiguousarray(fitted.inner)}, folder / "inner.safetensors")
            write_header(folder, "part", FORMAT, {})
