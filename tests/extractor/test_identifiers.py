"""A store can leave the hospital: nothing in it, nor in what extract says, tells whose images it was made from."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pydicom
import pytest
from typer.testing import CliRunner

from radboost.cli import app
from radboost.data.phantom.breast import BreastPhantom, write_rsna_breast

NAME = "ZWICKY^FRITZ"
BORN, TAKEN, AT = "19511103", "20170423", "141559.265"
PLACE = "Saint Elsewhere"
FREE = "PRIVATE REMARK 4711"
BACKBONE = ("--backbone", "test_resnet", "--random-init", "0", "--size", "96")
OPTIONS = (*BACKBONE, "--workers", "1", "--shard-rows", "8", "--batch-size", "4")


def name_the_patients(root: Path) -> None:
    """Add what the files of a hospital hold: names, dates, places, free text."""
    for path in root.rglob("*.dcm"):
        dataset = pydicom.dcmread(path)
        dataset.PatientName, dataset.PatientBirthDate = NAME, BORN
        dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = TAKEN
        dataset.StudyTime, dataset.InstitutionName = AT, PLACE
        dataset.AccessionNumber, dataset.StudyDescription = "ACC90210", FREE
        dataset.save_as(path)


def secrets(data: Path) -> set[str]:
    """Every UID, id, name, date, time and text of the headers, ids of the table, and paths."""
    found = set()
    for path in data.rglob("*.dcm"):
        found |= {path.relative_to(data).as_posix(), path.name, str(path)}
        for element in pydicom.dcmread(path, stop_before_pixels=True):
            instance = element.VR == "UI" and "Class" not in element.name
            if instance or element.VR in ("PN", "DA", "TM", "DT", "LO", "SH", "LT", "UT", "ST"):
                found |= {str(value) for value in (element.value if element.VM > 1 else [element.value])}
    table = pd.read_csv(data / "train.csv")
    found |= {str(value) for column in ("patient_id", "image_id") for value in table[column]}
    sides = table["patient_id"].astype(str) + "_" + table["laterality"]
    found |= set(sides) | {data.name, "train_images", "train.csv"}
    found |= {f"{text[:4]}-{text[4:6]}-{text[6:]}" for text in (BORN, TAKEN)} | set(NAME.split("^"))
    return {text for text in found if text}


def told(content: bytes, secret: str) -> bool:
    """Whether bytes hold a secret in the encodings of files; a number is found as a number, not within a hash.

    A five-digit id stands by chance within some hexadecimal hash or some float; on its own, as a word, it does not.
    """
    for encoding in ("utf-8", "utf-16-le"):
        text = re.escape(secret.encode(encoding))
        edged = rb"(?<![0-9A-Za-z.])" + text + rb"(?![0-9A-Za-z])" if secret.isdigit() else text
        if re.search(edged, content, re.IGNORECASE):
            return True
    return False


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[str], list[Path]]:
    """Data, store, all that was printed, and the folders that the user typed."""
    work = tmp_path_factory.mktemp("w")
    data, cohort, store = work / "SECRET-hospital", work / "c", work / "s"
    write_rsna_breast(data, BreastPhantom(patients=4, seed=1, pixels=128))
    name_the_patients(data)
    printed = []

    def run(*words: object, code: int = 0) -> None:
        result = CliRunner().invoke(app, [str(word) for word in words])
        assert result.exit_code == code, result.output + result.stderr
        if words[0] == "extract":
            printed.append(result.stdout + result.stderr)

    run("index", data, "--task", "rsna-breast", "--out", cohort, "--folds", "2")
    # A file that is gone when its turn comes, since failures are what loose tongues tell of.
    gone = next(data.rglob("*.dcm"))
    content = gone.read_bytes()
    gone.write_bytes(content[: len(content) // 2])
    run("extract", cohort, "--out", store, *OPTIONS)
    run("extract", cohort, "--out", store, *OPTIONS)
    run("extract", cohort, "--out", store, *OPTIONS, "--precision", "bf16", code=2)
    gone.write_bytes(content)
    return data, store, printed, [cohort, store]


def test_the_store_holds_no_identifier(extracted):
    data, store, _, _ = extracted
    wanted = secrets(data)
    assert len(wanted) > 60
    files = [path for path in store.rglob("*") if path.is_file()]
    assert {"store.json", "parts.jsonl", "runs.jsonl", "part-00000.h5"} <= {path.name for path in files}
    for path in files:
        content = path.read_bytes()
        assert not [secret for secret in wanted if told(content, secret)], path.name
        assert not [secret for secret in wanted if secret in path.name]


def test_extract_says_no_identifier(extracted):
    data, _, printed, typed = extracted
    assert len(printed) == 3
    assert "in quarantine" in printed[0]
    assert "no forward pass" in printed[1]
    assert "precision" in printed[2]
    for text in printed:
        for folder in typed:
            text = text.replace(str(folder), "")
        assert not [secret for secret in secrets(data) if told(text.encode(), secret)]


def test_the_search_finds_what_is_there(extracted):
    # The cohort is where the names are; if the search missed them there, it would prove nothing of the store.
    data, _, _, (cohort, _) = extracted
    content = pd.read_parquet(cohort / "manifest.parquet").to_csv().encode() + (cohort / "cohort.json").read_bytes()
    path = next(data.rglob("*.dcm"))
    header = pydicom.dcmread(path, stop_before_pixels=True)
    for secret in (path.relative_to(data).as_posix(), header.SOPInstanceUID, header.StudyInstanceUID, str(data)):
        assert told(content, str(secret))
    for secret in (NAME, BORN, TAKEN, AT, PLACE, FREE, header.SOPInstanceUID):
        assert secret in secrets(data)
        assert told(path.read_bytes(), secret)
    patient = header.PatientID
    assert told(content, patient)
    assert told(patient.encode("utf-16-le"), patient)
    # As a number of its own only: within hexadecimal digits it stands by chance.
    assert not told(f"ab{patient}cd".encode(), patient)
