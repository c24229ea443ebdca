"""Where a network begins that goes on from another training: at the same fold's network, and never at one that knows.

An image-level network may begin as a patch network did end. What the patch network of fold k has seen, the image-level
network of fold k has seen, too, so that the two cohorts must be dealt alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from radboost.data.cohort import TRAIN, Cohort
from radboost.data.networks import network_name, training_content
from radboost.errors import LeakError, MismatchError, UserError, offenders
from radboost.extractor.backbone import Backbone, BackboneConfig, FoldBackbone, load_backbone
from radboost.extractor.train.examples import Examples

__all__ = ["begin_at", "earlier", "refuse_known", "seen_before"]

DEAL = "Index both with one --key, and with the same --folds and --seed"


def earlier(start: BackboneConfig) -> Path | None:
    """Folder of the training that the weights come from: the checkpoint itself, or that of a network's file."""
    if start.training is not None:
        return start.training
    file = start.checkpoint
    inside = file is not None and file.parent.name.startswith("fold") and (file.parents[1] / "training.json").is_file()
    return file.parents[1] if file is not None and inside else None


def seen_before(start: BackboneConfig, fold: int) -> list[str]:
    """Hashed groups that the weights which outer fold `fold` begins with have seen; none for weights from elsewhere."""
    folder = earlier(start)
    if folder is None or start.checkpoint is None:
        return []
    own = network_name(fold) if start.training is not None else start.checkpoint.parent.name
    networks: list[dict[str, Any]] = training_content(folder)["networks"]
    return sorted({str(g) for n in networks if network_name(int(n["fold"])) == own for g in n["saw"]})


def refuse_known(start: BackboneConfig, cohort: Cohort, examples: Examples, folds: Sequence[int]) -> None:
    """Refuse to begin with weights that have seen a patient who is to be predicted, or is held out.

    Raises
    ------
    LeakError
        They have.
    MismatchError
        Whether they have cannot be told: the earlier training hashed its patients under another key.
    UserError
        The earlier training lacks a fold's network.
    """
    folder = earlier(start)
    if folder is None:
        return
    content = training_content(folder)
    if start.training is not None:
        if content["inputs"]["key_id"] != cohort.key_id:
            what = "the earlier training's patients have other hashed names, so that nobody can tell who was seen"
            raise MismatchError(what, where="--checkpoint", do=DEAL)
        lost = sorted(set(folds) - {int(fold) for fold in content["folds"]})
        if lost:
            raise UserError("the earlier training lacks networks", where="--checkpoint", got=lost, do="Give --fold")
    units = cohort.units
    held = set(units.loc[units["split"] != TRAIN, "group_id"].astype(str))
    for fold in folds:
        known = sorted((held | set(examples.group[examples.fold == fold])) & set(seen_before(start, fold)))
        if known:
            what = f"the weights that fold {fold} begins with have seen patients who are to be predicted"
            raise LeakError(what, where="--checkpoint", got=offenders(known), do=DEAL)


def begin_at(start: BackboneConfig, fold: int) -> Backbone:
    """Load the weights that outer fold `fold` begins with; of a training, its network of that fold."""
    found = load_backbone(start)
    if isinstance(found, FoldBackbone):
        return found.networks[int(np.flatnonzero(np.asarray(found.folds) == fold)[0])]
    return found
