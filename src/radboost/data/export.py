"""Crops as picture files: what a backbone would see, through the same chain."""

from __future__ import annotations

import csv
import shutil
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from radboost.data.cohort import Cohort
from radboost.data.crop import CropInfo, PixelPolicy
from radboost.data.folder import read_header, refuse_existing, write_header, write_text
from radboost.data.jobs import crop_jobs, refuse_unboxed
from radboost.data.picture import FORMATS, PictureJob, write_picture
from radboost.data.pool import Done, Failed, Limits, Pool, available_cores
from radboost.data.progress import Progress, Silent
from radboost.data.quarantine import Quarantine
from radboost.data.store import refuse_difference
from radboost.errors import ExistsError, PixelError, UserError

__all__ = ["LIST", "ExportConfig", "Exported", "export_crops"]

LIST = "crops.csv"
COLUMNS = (
    "crop_id", "file", "rows", "columns", "left", "top", "right", "bottom",
    "chest_wall", "mirrored", "reason", "shown", "reduce",
)  # fmt: skip
KIND = "crops"
FORMAT = 1


@dataclass(frozen=True)
class ExportConfig:
    """How crops become files.

    Attributes
    ----------
    pixels
        What a crop shows.
    format
        One of `FORMATS`.
    show_ids
        Name the files and the rows of the list as the data folder does. Without it they carry crop ids only.
    strict
        The first crop that fails ends the run.
    overwrite
        Replace a folder of crops instead of going on with it.
    workers, limits
        Processes, and what one file may cost.
    """

    pixels: PixelPolicy
    format: str = "png"
    show_ids: bool = False
    strict: bool = False
    overwrite: bool = False
    workers: int | None = None
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise UserError("unknown format", where="--format", got=self.format, do=f"Known: {', '.join(FORMATS)}")
        if self.format != "npy" and self.pixels.channels not in (1, 3):
            do = "Give one window or three, or --format npy"
            raise UserError("a picture has one channel or three", where="windows", got=self.pixels.channels, do=do)

    def fingerprint(self, cohort: Cohort) -> dict[str, object]:
        """Tell what decides the files' names and content."""
        names = {"format": self.format, "show_ids": self.show_ids, "key_id": cohort.key_id}
        return {"pixels": self.pixels.as_dict(), **names}


@dataclass(frozen=True)
class Exported:
    """What an export did.

    Attributes
    ----------
    folder
        Where the crops lie; `LIST` in it says how each came about.
    new, before, failed
        Crops written now; written by an earlier run; without a picture.
    reasons
        Of the first few failures, with the path: for the terminal only.
    """

    folder: Path
    new: int
    before: int
    failed: int
    reasons: tuple[str, ...] = ()


def export_crops(
    cohort: Cohort,
    rows: npt.NDArray[np.int64],
    out: Path,
    config: ExportConfig,
    progress: Progress | None = None,
) -> Exported:
    """Write crops as files, and a list of how each came about; an interrupted run is gone on with.

    Parameters
    ----------
    cohort
        Whose crops.
    rows
        Rows of its manifest.
    out
        The folder; new, or begun with the same settings and key.
    config, progress
        How, and who listens.

    Raises
    ------
    UserError
        Boxes are asked for and the cohort has none, or the folder cannot be written.
    ExistsError
        `out` is something else.
    MismatchError
        `out` was begun with other settings.
    PixelError
        A crop failed and `config.strict` is on.
    """
    progress = progress or Silent()
    refuse_unboxed(cohort, config.pixels)
    _begin(out, cohort, config)
    written = _written(out)
    ids = cohort.manifest["crop_id"].to_numpy()[rows]
    left = rows[~np.isin(ids, list(written))]
    names = _names(cohort, left, config)
    jobs = (
        PictureJob(crop, str(crop_id), str(out / name))
        for crop, crop_id, name in zip(
            crop_jobs(cohort, config.pixels, left), cohort.manifest["crop_id"].to_numpy()[left], names, strict=True
        )
    )
    quarantine = Quarantine(cohort.folder, "crops")
    progress.start("crops", len(left))
    new = 0
    reasons: list[str] = []
    with (
        (out / LIST).open("a", encoding="utf-8", newline="") as file,
        Pool(config.workers or available_cores(), config.limits) as pool,
    ):
        table = csv.writer(file, lineterminator="\n")
        for outcome in pool.map(partial(write_picture, policy=config.pixels, kind=config.format), jobs):
            if isinstance(outcome, Done):
                info, target = outcome.value, Path(outcome.job.target)
                table.writerow(_row(outcome.job.crop_id, target.relative_to(out).as_posix(), info))
                file.flush()
                new += 1
            else:
                path = Path(outcome.job.crop.path).relative_to(cohort.root).as_posix()
                _fail(outcome, path, quarantine, config)
                reasons.append(f"{path}: {outcome.reason}")
            progress.advance()
    return Exported(out, new, len(rows) - len(left), len(quarantine.rows), tuple(reasons[:5]))


def _begin(out: Path, cohort: Cohort, config: ExportConfig) -> None:
    """Make the folder, or check that what is there can be gone on with."""
    fingerprint = config.fingerprint(cohort)
    if config.overwrite and out.exists():
        refuse_existing(out, KIND, overwrite=True)
        shutil.rmtree(out)
    if (out / f"{KIND}.json").is_file():
        refuse_difference(read_header(out, KIND, FORMAT)["fingerprint"], fingerprint, out)
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ExistsError("holds something else than crops", where=out, do="Choose another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError("cannot be made", where=out, got=error.strerror, do="Choose another --out") from error
    write_text(out / LIST, ",".join(COLUMNS) + "\n")
    write_header(out, KIND, FORMAT, {"fingerprint": fingerprint, "config": {"format": config.format}})


def _written(out: Path) -> set[str]:
    """Crops that an earlier run wrote; a last line that it left torn is taken off the list."""
    path = out / LIST
    text = path.read_text("utf-8")
    whole = text[: text.rfind("\n") + 1]
    if len(whole) < len(text):
        write_text(path, whole)
    rows = csv.DictReader(whole.splitlines())
    return {row["crop_id"] for row in rows if (out / row["file"]).is_file()}


def _names(cohort: Cohort, rows: npt.NDArray[np.int64], config: ExportConfig) -> list[str]:
    """File of each crop below the folder."""
    ending = FORMATS[config.format]
    ids = cohort.manifest["crop_id"].to_numpy()
    if not config.show_ids:
        return [f"{ids[row]}{ending}" for row in rows]
    stems = cohort.manifest["path"].map(lambda path: str(PurePosixPath(path).with_suffix("")))
    shared = stems.duplicated(keep=False).to_numpy()
    # One file may hold several crops, and two endings one name.
    return [f"{stems.iat[row]}{'-' + ids[row][:8] if shared[row] else ''}{ending}" for row in rows]


def _row(crop_id: str, file: str, info: CropInfo) -> tuple[object, ...]:
    side = (info.chest_wall, int(info.mirrored))
    return (crop_id, file, *info.shape, *info.box, *side, info.reason, info.shown, info.reduce)


def _fail(failed: Failed[PictureJob], path: str, quarantine: Quarantine, config: ExportConfig) -> None:
    quarantine.add([(path, failed.kind, failed.reason)])
    if config.strict:
        raise PixelError(failed.reason, where=path, do="Leave --strict out to set such files aside and go on")
