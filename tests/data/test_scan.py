"""Headers of many files: each costs one read and at most itself, and a scan that was cut off goes on."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radboost.data import look as look_module
from radboost.data.dicom import DicomImage, write_dicom
from radboost.data.index import IndexConfig, index
from radboost.data.journal import Journal
from radboost.data.look import look
from radboost.data.pool import Limits
from radboost.data.progress import Silent
from radboost.data.scan import Reading, scan
from radboost.errors import PixelError

PIXELS = np.zeros((4, 6), np.uint16)
MANY = 2000


def slices(root: Path, count: int, **attributes: object) -> list[str]:
    root.mkdir(parents=True, exist_ok=True)
    path = root / "template"
    ids = {"PatientID": "P10", "SeriesInstanceUID": "1.2.10", "SOPInstanceUID": "1.2.3.10000"}
    write_dicom(path, DicomImage(PIXELS, 12, attributes={**ids, **attributes}))
    template = path.read_bytes()
    path.unlink()
    names = []
    for k in range(count):
        series, number = str(10 + k // 40).encode(), str(10_000 + k).encode()
        data = template.replace(b"1.2.3.10000", b"1.2.3." + number)
        data = data.replace(b"P10", b"P" + series).replace(b"1.2.10", b"1.2." + series)
        (root / f"{k:05d}.dcm").write_bytes(data)
        names.append(f"{k:05d}.dcm")
    return names


class Teller(Silent):
    """Keeps what is said; interrupts after so many files."""

    def __init__(self, stop: int | None = None) -> None:
        self.said: list[str] = []
        self.done, self._stop = 0, stop

    def advance(self, steps: int = 1) -> None:
        self.done += steps
        if self._stop is not None and self.done >= self._stop:
            raise KeyboardInterrupt

    def say(self, text: str) -> None:
        self.said.append(text)


def run(root: Path, paths: list[str], journal: Path | None = None, progress: Teller | None = None, **how: object):
    with Journal(journal, root) as notes:
        return scan(root, paths, Reading(**{"workers": 1, **how}), notes, progress or Teller())


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("many") / "data"
    slices(root, MANY)
    return root


def tables(root: Path, workers: int, journal: Path | None = None, progress: Teller | None = None) -> list[pd.DataFrame]:
    config = IndexConfig(key=bytes(32), workers=workers, journal=journal, headers="geometry")
    cohort = index(root, None, config, progress).cohort
    return [cohort.manifest, cohort.links, cohort.series, cohort.headers, cohort.quarantine]


@pytest.fixture(scope="module")
def whole(many) -> list[pd.DataFrame]:
    return tables(many, workers=1)


def alike(found: list[pd.DataFrame], whole: list[pd.DataFrame]) -> None:
    for one, other in zip(found, whole, strict=True):
        pd.testing.assert_frame_equal(one, other)


def test_two_workers_find_what_one_finds(many, whole):
    assert len(whole[0]) == MANY
    assert whole[2]["files"].tolist() == [40] * 50
    alike(tables(many, workers=2), whole)


def test_an_interrupted_index_goes_on_and_ends_alike(many, whole, tmp_path):
    journal = tmp_path / ".cohort.scan.jsonl"
    with pytest.raises(KeyboardInterrupt):
        tables(many, 2, journal, Teller(stop=MANY // 2))
    assert journal.stat().st_mode & 0o777 == 0o600  # it holds patients' names
    teller = Teller()
    alike(tables(many, 2, journal, teller), whole)
    read_before = int(teller.said[0].split()[0].replace(",", ""))
    assert MANY // 2 <= read_before < MANY
    # And once more: now nothing is left to be read.
    teller = Teller()
    alike(tables(many, 1, journal, teller), whole)
    assert teller.said == [f"{MANY:,} headers read before"]


KILLED = """
import os, signal, sys
from pathlib import Path
from radboost.data.index import IndexConfig, index
from radboost.data.progress import Silent

class Killer(Silent):
    done = 0
    def advance(self, steps=1):
        self.done += steps
        if self.done >= 700:
            os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    index(Path(sys.argv[1]), None, IndexConfig(workers=2, journal=Path(sys.argv[2])), Killer())
"""


def test_a_kill_loses_nothing_that_was_told(many, whole, tmp_path):
    (tmp_path / "killed.py").write_text(KILLED)
    journal = tmp_path / ".cohort.scan.jsonl"
    done = subprocess.run([sys.executable, tmp_path / "killed.py", many, journal], check=False)
    assert done.returncode == -signal.SIGKILL
    teller = Teller()
    alike(tables(many, 1, journal, teller), whole)
    assert int(teller.said[0].split()[0]) >= 700


@pytest.mark.parametrize("cut", [1, 40])
def test_a_torn_last_line_is_dropped(tmp_path, cut):
    root, journal = tmp_path / "data", tmp_path / "j"
    names = slices(root, 6)
    first = run(root, names, journal)
    journal.write_bytes(journal.read_bytes()[:-cut])
    teller = Teller()
    assert run(root, names, journal, teller).headers == first.headers
    assert teller.said == ["5 headers read before"]
    # What was torn is written anew on a line of its own.
    assert [json.loads(line)[0] for line in journal.read_text().splitlines()[1:]] == ["look"] * 6


def test_what_changed_is_read_anew_and_what_belongs_elsewhere_is_ignored(tmp_path):
    root, journal = tmp_path / "data", tmp_path / "j"
    names = slices(root, 6)
    run(root, names, journal)
    slices(root / "new", 1, Modality="CT")
    (root / "new" / names[0]).replace(root / names[0])
    (root / names[1]).touch()
    teller = Teller()
    assert run(root, names, journal, teller).headers[names[0]].modality == "CT"
    assert teller.said == ["4 headers read before"]
    for spoilt in (tmp_path / "other", root):
        if spoilt == root:
            lines = journal.read_text().splitlines(keepends=True)
            journal.write_text("".join([lines[0].replace('"scan": 1', '"scan": 0'), *lines[1:]]))
        else:
            slices(spoilt, 6)
        teller = Teller()
        assert len(run(spoilt, names, journal, teller).headers) == 6
        assert teller.said == []


def test_a_bad_file_in_a_chunk_costs_itself_alone(tmp_path):
    root = tmp_path / "data"
    names = slices(root, 40)
    os.mkfifo(root / "00011.fifo.dcm")  # opening it waits for a writer who never comes
    (root / "00013.cut.dcm").write_bytes(bytes(100))
    paths = sorted(p.name for p in root.iterdir())
    found = run(root, paths, limits=Limits(seconds=2))
    assert list(found.headers) == names  # in the order asked for
    kinds = {path: kind for path, kind, _ in found.bad}
    assert kinds == {"00011.fifo.dcm": "time limit", "00013.cut.dcm": "unreadable"}


def test_strict_ends_at_the_first_bad_file(tmp_path):
    root = tmp_path / "data"
    names = slices(root, 3)
    (root / "bad.dcm").write_bytes(b"nothing")
    with pytest.raises(PixelError, match=r"^bad.dcm: the file ends before.*Leave --strict out") as caught:
        run(root, ["bad.dcm", *names], strict=True)
    assert caught.value.exit_code == 1


class Counted(io.FileIO):
    """Counts what is really read."""

    total = 0

    def readinto(self, buffer) -> int:
        count = super().readinto(buffer)
        Counted.total += count
        return count


@pytest.mark.parametrize("syntax", ["ExplicitVRLittleEndian", "ImplicitVRLittleEndian", "JPEG2000Lossless"])
def test_a_header_costs_one_block(tmp_path, monkeypatch, syntax):
    # 54,706 headers must not read 300 GB; and a long attribute before the pixels is passed over.
    path = tmp_path / "a.dcm"
    pixels = np.random.default_rng(0).integers(0, 4096, (256, 256)).astype(np.uint16)
    icon = {"ICCProfile": bytes(200_000), "PatientID": "7"}
    monkeypatch.setattr(look_module, "_opened", lambda p: io.BufferedReader(Counted(p), look_module.BUFFER))
    for attributes, most in (({"PatientID": "7"}, 4096), (icon, 3 * 4096)):
        write_dicom(path, DicomImage(pixels, 12, transfer_syntax=syntax, attributes=attributes))
        Counted.total = 0
        assert look("a.dcm", str(tmp_path)).header.patient_id == "7"
        assert 0 < Counted.total <= most
