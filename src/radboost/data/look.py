"""One look at one file, in a worker: it imports no more than it needs, since every worker starts with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from radboost.data.dicom import Header, NotAnImage, classify, read_header

__all__ = ["Look", "look"]


@dataclass(frozen=True)
class Look:
    """What one look at a file tells: a header, a plain picture, or a kind of file to skip."""

    kind: str
    header: Header | None = None


def look(path: str, root: str) -> Look:
    """Look at one file in a worker."""
    full = Path(root) / path
    kind = classify(full)
    if kind == "other":
        return Look(f"{full.suffix or 'no'} ending")
    if kind == "raster":
        return Look("image")
    try:
        return Look("image", read_header(full))
    except NotAnImage as error:
        return Look(error.what)
