"""Every element of every header as one table, a row an image: for looking at, and for features of one's own."""

from __future__ import annotations

from array import array
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from radboost.data.dicom.elements import Elements, elements_of
from radboost.data.identity import keyed_hash
from radboost.data.pool import Failed
from radboost.data.progress import Progress
from radboost.data.scan import CHUNK, Reading, Scan

__all__ = ["element_table"]


def element_table(
    root: Path, manifest: pd.DataFrame, found: Scan, key: bytes, how: tuple[Reading, Progress]
) -> pd.DataFrame:
    """Read every header of a cohort once more, whole, and lay it out by columns.

    Parameters
    ----------
    root
        The data folder.
    manifest
        Of the cohort: an image goes by its first crop.
    found
        Tells DICOM from pictures, which have no elements.
    key
        Of the cohort: unique identifiers are hashed under it.
    how
        How files are read, and who listens.

    Returns
    -------
    DataFrame
        `crop_id`, then in sorted order what is a number in any header as float64 (NaN where absent) and what is a word
        or hashed identifier as text (empty where absent). An image whose header cannot be read has a row of these.
    """
    reading, progress = how
    images = manifest.drop_duplicates("path")
    place = {path: row for row, path in enumerate(images["path"]) if found.headers.get(path) is not None}
    columns = _Columns(len(images), key)
    progress.start("reading all elements", len(place))
    paths = list(place)
    chunks = [tuple(paths[start : start + CHUNK]) for start in range(0, len(paths), CHUNK)]
    left: list[tuple[str, ...]] = []
    for jobs in (chunks, left):
        with reading.pool(len(jobs)) as pool:
            for outcome in pool.map(partial(elements_of, root=str(root)), list(jobs)):
                if not isinstance(outcome, Failed):
                    for path, elements in zip(outcome.job, outcome.value, strict=True):
                        columns.add(place[path], elements)
                elif len(outcome.job) > 1:
                    # One bad file must not cost its neighbours their row.
                    left += [(path,) for path in outcome.job]
                    continue
                progress.advance(len(outcome.job))
    table = columns.table()
    table.insert(0, "crop_id", images["crop_id"].to_numpy())
    return table


class _Columns:
    """Columns that grow as headers come in: a number costs 8 bytes, and a word that was seen before a reference."""

    def __init__(self, rows: int, key: bytes) -> None:
        self._rows, self._key = rows, key
        self._numbers: dict[str, array[float]] = {}
        self._words: dict[str, list[str]] = {}
        self._known: dict[str, str] = {"": ""}

    def add(self, row: int, elements: Elements) -> None:
        for name, value in elements.numbers.items():
            if name not in self._numbers:
                self._numbers[name] = array("d", [np.nan]) * self._rows
            self._numbers[name][row] = value
        hashed = {name: keyed_hash(self._key, "uid", uid) for name, uid in elements.uids.items()}
        for name, word in {**elements.words, **hashed}.items():
            if name not in self._words:
                self._words[name] = [""] * self._rows
            self._words[name][row] = self._known.setdefault(word, word)

    def table(self) -> pd.DataFrame:
        # A UID of the standard in one file and a maker's own in another share a column; numbers and words never do.
        numbers = {name: np.frombuffer(values, np.float64) for name, values in self._numbers.items()}
        words = {name: np.array(values, dtype=object) for name, values in self._words.items()}
        both: dict[str, np.ndarray] = {**numbers, **words}
        return pd.DataFrame({name: both[name] for name in sorted(both)}, index=pd.RangeIndex(self._rows))
