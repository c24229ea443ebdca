"""One look at one file, in a worker: it imports no more than it needs, since every worker starts with it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from radboost.data.dicom import Header, NotAnImage, classify, read_header

__all__ = ["Look", "look"]

SAMPLE = 4096
SAMPLES = 8


@dataclass(frozen=True)
class Look:
    """What one look at a file tells.

    Attributes
    ----------
    kind
        ``image``, or what else it is, to be passed by.
    header
        Of a DICOM image; None for a picture.
    mark
        Tells the file's content from another's: with it, two folders that use the same file names do not share crops,
        and a picture that was replaced is seen to be new.
    """

    kind: str
    header: Header | None = None
    mark: str = ""


def look(path: str, root: str) -> Look:
    """Look at one file in a worker.

    Raises
    ------
    PixelError
        It is damaged, or cannot be opened.
    """
    full = Path(root) / path
    kind = classify(full)
    if kind == "other":
        return Look(f"{full.suffix or 'no'} ending")
    if kind == "raster":
        return Look("image", mark=_sampled(full))
    try:
        header = read_header(full)
    except NotAnImage as error:
        return Look(error.what)
    # The UID is the content's own name; the size tells a re-encoded copy from the original without reading it.
    uid = header.instance_uid
    return Look("image", header, f"{uid} {full.stat().st_size}" if uid else _sampled(full))


def _sampled(path: Path) -> str:
    """Digest of the size and of evenly spread samples: reading a few blocks, whatever the size."""
    size = path.stat().st_size
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    with path.open("rb") as file:
        for number in range(SAMPLES):
            file.seek(max(0, size - SAMPLE) * number // (SAMPLES - 1))
            digest.update(file.read(SAMPLE))
    return digest.hexdigest()
