"""A row of numbers and words a crop, from its file's header and its place in the series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from radboost.data.dicom import Header
from radboost.data.frame_values import PIXELS
from radboost.data.journal import Values
from radboost.data.scan import Scan
from radboost.data.series import SAME_PLACE, Arranged
from radboost.errors import TaskError, UserError, offenders

__all__ = ["GEOMETRY", "HEADERS", "WORDS", "check_headers", "header_features", "widened"]

HEADERS = ("none", "geometry", "pixels", "all")
"""Which features go into the cohort: of header and series, of the pixels, both."""

GEOMETRY = [
    *("row_x", "row_y", "row_z", "column_x", "column_y", "column_z"),
    *("position_x", "position_y", "position_z", "position_along_normal", "tilt"),
    *("spacing_rows", "spacing_columns", "rows", "columns", "slice_thickness"),
    *("series_first", "series_last", "series_range", "relative_position", "gap_before", "gap_after"),
    *("slice_distance", "gap_ratio", "doubles_in_series"),
    *("rank_in_series", "rank_from_end", "slices_in_series", "series_of_patient"),
    *("bits_stored", "pixel_representation", "intercept", "slope"),
    *("window_centre", "window_width", "second_window_centre", "second_window_width"),
]
WORDS = [
    *("manufacturer", "model", "modality", "photometric", "syntax", "body_part"),
    *("patient_position", "patient_orientation", "plane"),
    *("bit_type", "grain_x", "grain_z", "grain_gap"),
]

_PLANES = ("sagittal", "coronal", "axial")
_GRAINS = ("1", "0.5", "0.1", "0.01", "0.001")


def check_headers(choice: str) -> None:
    """Raise UserError where the choice of features is unknown."""
    if choice not in HEADERS:
        do = f"Known: {', '.join(HEADERS)}"
        raise UserError("unknown choice of header features", where="--headers", got=choice, do=do)


def widened(choice: str, names: Sequence[str]) -> str:
    """Widen a choice of features so that it holds those that a task declares.

    Raises
    ------
    TaskError
        There is no feature of a name.

    >>> widened("none", ["slice_thickness"])
    'geometry'
    """
    pixels = any(name in PIXELS for name in names)
    unknown = [name for name in names if name not in (*GEOMETRY, *WORDS, *PIXELS)]
    if unknown:
        do = f"Known: {', '.join((*GEOMETRY, *WORDS, *PIXELS))}"
        raise TaskError("there are no such header features", where="[metadata] headers", got=offenders(unknown), do=do)
    geometry = len(names) > sum(name in PIXELS for name in names)
    return HEADERS[(geometry or choice in ("geometry", "all")) + 2 * (pixels or choice in ("pixels", "all"))]


def header_features(
    manifest: pd.DataFrame, found: Scan, arranged: Arranged, choice: str, values: Mapping[str, Values]
) -> pd.DataFrame:
    """Make the table of header features.

    Parameters
    ----------
    manifest
        One row a crop.
    found, arranged
        Headers, and where the slices lie.
    choice
        One of `HEADERS` but ``none``.
    values
        Of the pixels, where asked for.

    Returns
    -------
    DataFrame
        `crop_id`, then `GEOMETRY` (float64, NaN where absent) and `WORDS` (text, empty where absent) for ``geometry``
        and ``all``, then `PIXELS` for ``pixels`` and ``all``. Rows as in the manifest.
    """
    parts = [manifest[["crop_id"]].reset_index(drop=True)]
    if choice in ("geometry", "all"):
        headers = [found.headers.get(path) for path in manifest["path"]]
        table = _numbers(manifest, headers, arranged)
        parts += [table, _words(headers, table)]
    if choice in ("pixels", "all"):
        absent = (np.nan,) * len(PIXELS)
        # The middle frame, and a file that failed, have one entry.
        rows = [
            values[path][max(frame, 0)] if path in values else absent
            for path, frame in zip(manifest["path"], manifest["frame"], strict=True)
        ]
        parts.append(pd.DataFrame(rows, columns=PIXELS, dtype=float))
    return pd.concat(parts, axis=1)


def _numbers(manifest: pd.DataFrame, headers: Sequence[Header | None], arranged: Arranged) -> pd.DataFrame:
    places = arranged.slices.reindex(manifest["path"]).reset_index(drop=True)
    series = arranged.table.set_index("series").reindex(places["series"]).reset_index(drop=True)
    span = series["last"] - series["first"]
    named = manifest.reset_index(drop=True)["series"]
    several = named.where(named != "").groupby(manifest["group"].to_numpy()).transform("nunique")
    known = pd.Series([h is not None for h in headers])
    table = pd.DataFrame([_of_header(header) for header in headers], dtype=float).reindex(columns=GEOMETRY)
    return table.assign(
        # Along the common normal where there is one, so that distances in the series add up.
        position_along_normal=places["along"].fillna(places["own"]),
        series_first=series["first"],
        series_last=series["last"],
        series_range=span,
        relative_position=(places["along"] - series["first"]) / span.where(span > 0),
        gap_before=places["before"],
        gap_after=places["after"],
        slice_distance=series["distance"],
        gap_ratio=_gap_ratio(arranged).reindex(places["series"]).to_numpy(),
        doubles_in_series=series["duplicates"],
        rank_in_series=places["rank"],
        rank_from_end=places["slices"] - 1 - places["rank"],
        slices_in_series=places["slices"],
        series_of_patient=several.where(known & (named != "")),
    ).astype(float)


def _gap_ratio(arranged: Arranged) -> pd.Series:
    """Widest over narrowest distance of neighbours, by series; slices at one place count as one."""
    gaps = arranged.slices["before"].where(arranged.slices["before"] >= SAME_PLACE)
    by_series = gaps.groupby(arranged.slices["series"])
    return by_series.max() / by_series.min()


def _of_header(header: Header | None) -> dict[str, float | None]:
    if header is None:
        return {}
    row: dict[str, float | None] = dict(zip(GEOMETRY[:6], header.orientation or (), strict=False))
    row |= dict(zip(GEOMETRY[6:9], header.position or (), strict=False))
    row |= dict(zip(("spacing_rows", "spacing_columns"), header.spacing or (), strict=False))
    row |= dict(zip(("window_centre", "window_width"), header.window or (), strict=False))
    row |= dict(zip(("second_window_centre", "second_window_width"), header.second_window or (), strict=False))
    return row | {
        "tilt": _tilt(header),
        "rows": header.rows,
        "columns": header.columns,
        "slice_thickness": header.thickness,
        "bits_stored": header.bits_stored or None,
        "pixel_representation": float(header.signed),
        "intercept": header.intercept,
        "slope": header.slope,
    }


def _words(headers: Sequence[Header | None], numbers: pd.DataFrame) -> pd.DataFrame:
    table = {name: [getattr(h, name) if h else "" for h in headers] for name in WORDS if name in Header.__annotations__}
    table["syntax"] = [h.transfer_syntax if h else "" for h in headers]
    table["plane"] = [_plane(h) for h in headers]
    table["bit_type"] = [_bit_type(h) for h in headers]
    for name, column in (("grain_x", "position_x"), ("grain_z", "position_z"), ("grain_gap", "gap_before")):
        table[name] = _grain(numbers[column])
    return pd.DataFrame(table, columns=WORDS, dtype=object)


def _bit_type(header: Header | None) -> str:
    """Bits stored, signed or unsigned, and the intercept: what kind of scanner or export wrote the pixels."""
    if header is None or not header.bits_stored:
        return ""
    return f"{header.bits_stored}{'s' if header.signed else 'u'}{header.intercept or 0:+g}"


def _grain(millimetres: pd.Series) -> list[str]:
    """Coarsest step out of `_GRAINS` that each number is a multiple of, else ``finer``: how its writer rounds."""
    values = millimetres.to_numpy(float)
    found = np.where(np.isnan(values), "", "finer").astype(object)
    for grain in reversed(_GRAINS):
        steps = values / float(grain)
        # A hundredth of the finest step: what binary fractions of a decimal text are off by, and far more.
        found[np.abs(steps - np.round(steps)) * float(grain) < 1e-5] = grain
    return list(found)


def _tilt(header: Header) -> float | None:
    """Degrees between the normal of the slice and the axis of the patient that lies nearest: the gantry's tilt."""
    if header.orientation is None:
        return None
    normal = np.abs(np.cross(header.orientation[:3], header.orientation[3:]))
    length = float(np.linalg.norm(normal))
    return float(np.degrees(np.arccos(min(1.0, normal.max() / length)))) if length > 0 else None


def _plane(header: Header | None) -> str:
    """Plane whose normal lies nearest to that of the slice."""
    if header is None or header.orientation is None:
        return ""
    normal = np.abs(np.cross(header.orientation[:3], header.orientation[3:]))
    return _PLANES[int(normal.argmax())] if normal.any() else ""
