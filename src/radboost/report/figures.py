"""Figures as files."""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path

from matplotlib.figure import Figure

from radboost.errors import UserError

__all__ = ["save_figure"]


def save_figure(figure: Figure, out: Path) -> None:
    """Write a figure as PNG, whole or not at all; equal figures give equal bytes.

    Raises
    ------
    UserError
        It cannot be written.
    """
    picture = io.BytesIO()
    # No date and no library version in the file.
    figure.savefig(picture, format="png", metadata={"Software": None})
    try:
        with tempfile.NamedTemporaryFile(dir=out.parent, prefix=f".{out.name}.", delete=False) as file:
            temporary = Path(file.name)
            file.write(picture.getvalue())
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(out)
    except OSError as error:
        raise UserError("cannot be written", where=out, got=error.strerror, do="Choose another --out") from error
