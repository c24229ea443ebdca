"""Stage one: each crop of a cohort goes through a frozen backbone once, and never again."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from radboost.data.cohort import Cohort
from radboost.data.jobs import refuse_unboxed
from radboost.data.progress import Progress, Silent
from radboost.data.store import (
    ID_DTYPE,
    EmbeddingStore,
    StoreWriter,
    differing,
    refuse_difference,
    store_header,
    store_lock,
)
from radboost.errors import FormatError, UserError
from radboost.extractor.accounting import Accounting
from radboost.extractor.backbone import Backbone, load_backbone
from radboost.extractor.config import ExtractConfig
from radboost.extractor.remote import Fleet
from radboost.extractor.work import Here, Plan

__all__ = ["ExtractResult", "extract"]


@dataclass(frozen=True)
class ExtractResult:
    """What an extraction did.

    Attributes
    ----------
    store
        The store, open.
    crops
        Crops of the cohort: `new` + `reused` + `quarantined`.
    new, reused, quarantined
        Embedded now; embedded before; without an embedding, now or before.
    removed
        Crops in the store that the cohort does not have: their images are gone from it, or another cohort's.
    device, precision
        What they were.
    account
        Where the time went; None where nothing was to be done.
    """

    store: EmbeddingStore
    crops: int
    new: int
    reused: int
    quarantined: int
    removed: int = 0
    device: str = ""
    precision: str = ""
    account: Accounting | None = None

    @property
    def forward_passes(self) -> int:
        """Batches that went through the network, each view counted; 0 where the store had everything."""
        return 0 if self.account is None else self.account.forward_passes


def extract(
    cohort: Cohort, out: Path, config: ExtractConfig, progress: Progress | None = None, *, overwrite: bool = False
) -> ExtractResult:
    """Embed the crops of a cohort that a store does not hold yet.

    A store that was cut off is finished; one that holds everything is returned as it is, without building the network.

    Parameters
    ----------
    cohort
        Whose crops.
    out
        The store's folder, new or a store of the same fingerprint.
    config
        How.
    progress
        Who listens.
    overwrite
        Replace a store instead of going on with it; the old one goes when the first new shard is ready.

    Raises
    ------
    MismatchError
        The store at `out` has another fingerprint; the fields that differ are named.
    WeightsError
        The backbone's weights cannot be had.
    UserError
        The cohort is empty, `out` is something else, or another process is writing it.
    PixelError
        A crop failed and `config.strict` is on; finished shards are kept.
    RadboostError
        No crop could be embedded, or the store could not be written.
    """
    progress = progress or Silent()
    begun = time.perf_counter()
    if cohort.manifest.empty:
        raise UserError("the cohort has no crops", where=cohort.folder, do="Index a folder that holds images")
    refuse_unboxed(cohort, config.pixels)
    stored = None if overwrite else _stored(out)
    precision = config.precision
    if stored is not None and precision == "auto":
        precision = str(stored["config"]["precision"])
    with Fleet(cohort, config) if config.engine == "ray" else Here(config) as place:
        config = replace(config, precision=place.precision(precision))
        if stored is not None and _same_source(stored, config, out):
            finished = _finished(cohort, out)
            if finished is not None:
                progress.say(f"all {finished.crops:,} crops were tried before: no pixel read, no forward pass")
                return replace(finished, device=place.kind, precision=config.precision)
        backbone = load_backbone(config.backbone)
        fingerprint = _fingerprint(backbone, config)
        if config.expect is not None:
            refuse_difference(config.expect, fingerprint, "the features that these are to join")
        if stored is not None and differing(stored["fingerprint"], fingerprint):
            old, new = _source(stored["config"]["weights"]), _source(config.backbone.source())
            refuse_difference({**stored["fingerprint"], "weights": old}, {**fingerprint, "weights": new}, out)
        if config.compile:
            backbone.model.compile()
        loaded = time.perf_counter() - begun
        _make(out)
        with store_lock(out):
            plan = Plan(cohort, out, config, place.device, fingerprint, loaded, overwrite)
            store, embedded, account = place.work(plan, progress)(backbone)
        counted = _counted(cohort, store, embedded)
        return replace(counted, account=account, device=place.kind, precision=config.precision)


def _stored(out: Path) -> dict[str, Any] | None:
    """Header of the store at `out`, None where there is none."""
    _refuse_other(out)
    return store_header(out) if (out / "store.json").is_file() else None


def _refuse_other(out: Path) -> None:
    """Refuse a folder that holds something else than a store; hidden files are what a run left that was cut off."""
    if (out / "store.json").is_file() or not out.exists():
        return
    if not out.is_dir() or any(not p.name.startswith(".") for p in out.iterdir()):
        do = "Choose another --out; --overwrite replaces nothing but a store"
        raise UserError("holds something else than a store", where=out, do=do)


def _make(out: Path) -> None:
    _refuse_other(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError("cannot be made", where=out, got=error.strerror, do="Choose another --out") from error


def _source(weights: Mapping[str, Any]) -> str:
    """Say where weights come from; a checkpoint is told by its bytes, whatever its name."""
    return ", ".join(f"{k} {v}" if k != "kind" else str(v) for k, v in weights.items() if k != "file")


def _same_source(stored: Mapping[str, Any], config: ExtractConfig, out: Path) -> bool:
    """Refuse what differs already without the network, and tell whether the weights come from the same source."""
    asked = config.known(config.precision)
    backbone = {k: stored["fingerprint"]["backbone"].get(k) for k in config.backbone.known()}
    have = {k: backbone if k == "backbone" else stored["fingerprint"].get(k) for k in asked}
    old, new = _source(stored["config"]["weights"]), _source(config.backbone.source())
    if differing(have, asked):
        refuse_difference({**have, "weights": old}, {**asked, "weights": new}, out)
    # Mean and deviation may have been told then and not now; the network knows whether they are its own.
    return old == new and differing(stored["config"]["backbone"], config.backbone.recipe()) == {}


def _fingerprint(backbone: Backbone, config: ExtractConfig) -> dict[str, object]:
    return {**config.known(config.precision), "backbone": backbone.identifier()}


def _finished(cohort: Cohort, out: Path) -> ExtractResult | None:
    """Give the result of a store that needs no work; None where some is left, or a shard was lost."""
    try:
        store = EmbeddingStore.open(out)
    except FormatError:
        return None
    tried = np.array([i.encode() for i in (*store.crop_ids(), *store.failed_ids())], ID_DTYPE)
    if len(StoreWriter.remaining(cohort.manifest["crop_id"].tolist(), tried)):
        return None
    return _counted(cohort, store, new=0)


def _counted(cohort: Cohort, store: EmbeddingStore, new: int) -> ExtractResult:
    crops = len(cohort.manifest)
    ids = cohort.manifest["crop_id"].tolist()
    present = int((store.rows_of(ids) >= 0).sum())
    removed = len(store.removed(ids))
    return ExtractResult(store, crops, new=new, reused=present - new, quarantined=crops - present, removed=removed)
