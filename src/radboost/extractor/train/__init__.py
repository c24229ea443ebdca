"""Training of backbones in stages, on pytorch-lightning (extra `train`)."""

from __future__ import annotations

from importlib.util import find_spec

from radboost.errors import UserError

__all__ = ["need_extra"]


def need_extra() -> None:
    """Raise UserError, which names the extra, where pytorch-lightning is not installed."""
    if find_spec("lightning") is None or find_spec("tensorboard") is None:
        do = "Install it: pip install 'radboost[train]'"
        raise UserError("training needs the extra train, which is not installed", do=do)
