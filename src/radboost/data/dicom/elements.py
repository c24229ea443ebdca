"""Every element of a header as named numbers and codes; what may name somebody is left out or set apart.

What is kept is a list of what is known to be harmless, never all but a list of what is known to harm: numbers, codes of
defined terms, and a few descriptions of machines. Names, dates, times, free text, private elements and bulk data go.
Unique identifiers come apart from the rest, to be hashed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from radboost.data.dicom.door import door
from radboost.data.dicom.parse import parse
from radboost.errors import PixelError

__all__ = ["Elements", "elements_of", "read_elements"]

MOST_VALUES = 16
"""A longer list of numbers is data, not a setting: it is counted."""
DEEPEST = 3
"""Sequences within sequences that are looked into."""
OLDEST = 90.0
"""Years: an age above it tells who it is."""

_NUMBERS = {"DS", "IS", "FL", "FD", "SL", "SS", "UL", "US", "SV", "UV", "US or SS"}
# Defined terms and enumerated values as PS3.5 6.2 has them: capitals, digits, space and underscore.
_CODE = re.compile(r"[A-Z0-9_ ]{1,16}")
# Of the text VRs, in which anybody writes anything, what machines and standards write.
_MACHINE = {
    *("Manufacturer", "ManufacturerModelName", "SoftwareVersions", "ConvolutionKernel", "FilterType"),
    *("SequenceName", "PulseSequenceName", "ImagedNucleus", "ReceiveCoilName", "TransmitCoilName"),
    *("CodeValue", "CodingSchemeDesignator"),
}
_STANDARD_UID = "1.2.840.10008."


@dataclass
class Elements:
    """What a header says, by name: ``Keyword``, ``Keyword.1`` for the first of several numbers, ``Sequence.Keyword``.

    Attributes
    ----------
    numbers
        Finite numbers; ages in years, at most `OLDEST`; ``<Keyword>.values`` counts a list too long to be given, and
        ``<Sequence>.items`` the items of a sequence, which is looked into where it has one.
    words
        Codes, several of them joined by ``/``, what machines write, and UIDs of the standard itself.
    uids
        Unique identifiers, to be hashed before anything is written.
    """

    numbers: dict[str, float] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    uids: dict[str, str] = field(default_factory=dict)


def read_elements(path: Path) -> Elements:
    """Read every element of a header, up to the pixels, that is a number, a code, or a machine's own word.

    Raises
    ------
    PixelError
        The header cannot be read. An element that cannot is left out.
    """
    parsed = parse(path)
    found = Elements()
    _read(parsed.dataset, "", 0, found)
    meta = parsed.dataset.file_meta
    _read(meta, "", 0, found)
    return found


def elements_of(paths: Iterable[str], root: str) -> list[Elements]:
    """Read the elements of several files, in a worker; raises PixelError where one cannot be read."""
    return [read_elements(Path(root) / path) for path in paths]


def _read(dataset: Dataset, prefix: str, depth: int, found: Elements) -> None:
    for tag in sorted(dataset.keys()):
        keyword = keyword_for_tag(tag)
        if BaseTag(tag).is_private or not keyword:
            continue
        try:
            with door(keyword):
                # The dictionary's VR, whatever the file says: it decides what may be kept.
                _element(dictionary_VR(tag), dataset.get(keyword), (prefix + keyword, keyword), depth, found)
        except PixelError:
            continue


def _element(vr: str, value: object, names: tuple[str, str], depth: int, found: Elements) -> None:
    name, keyword = names
    if isinstance(value, Sequence):
        items = list(value)
        found.numbers[f"{name}.items"] = float(len(items))
        if len(items) == 1 and depth < DEEPEST:
            _read(items[0], f"{name}.", depth + 1, found)
        return
    several = list(value) if isinstance(value, MultiValue | list | tuple) else [value]
    several = [v for v in several if v is not None and str(v).strip()]
    if not several:
        return
    texts = [str(v).strip().strip("\0") for v in several]
    if vr in _NUMBERS:
        _numbers(name, [float(v) for v in texts], found)
    elif vr == "AS":
        _age(name, texts[0], found)
    elif vr == "CS":
        if all(_CODE.fullmatch(text) for text in texts):
            found.words[name] = "/".join(texts)
    elif vr == "UI":
        standard = all(text.startswith(_STANDARD_UID) for text in texts)
        (found.words if standard else found.uids)[name] = "/".join(texts)
    elif keyword in _MACHINE:
        found.words[name] = "/".join(texts)


def _numbers(name: str, values: list[float], found: Elements) -> None:
    if len(values) > MOST_VALUES:
        found.numbers[f"{name}.values"] = float(len(values))
        return
    for place, value in enumerate(values, start=1):
        if value - value == 0:
            found.numbers[name if len(values) == 1 else f"{name}.{place}"] = value


def _age(name: str, text: str, found: Elements) -> None:
    # Age String: three digits and D, W, M or Y (PS3.5 6.2).
    days = {"D": 1.0, "W": 7.0, "M": 30.4375, "Y": 365.25}
    if len(text) == 4 and text[:3].isdigit() and text[3] in days:
        found.numbers[name] = min(float(text[:3]) * days[text[3]] / 365.25, OLDEST)
