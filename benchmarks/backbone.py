"""Make the small network that comes with radboost, from nothing but synthetic images: ``make backbone``.

Phantom films are cut into patches and phantom screening exams into breasts, all of other seeds and settings than the
demos' phantoms; `radboost train` learns the patches from random weights, and then, from what came of that, the breasts.
The network of fold 0 is written beside its card, in half precision. Every command is printed as it is run and kept in
the card. It takes half an hour; ``OMP_NUM_THREADS=1`` makes it with one thread, as it was made. See docs/shipped.md.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors.torch import save_file

from radboost.data.folder import environment, read_json
from radboost.data.phantom.breast import BreastPhantom, write_rsna_breast
from radboost.data.phantom.cbis import CbisPhantom, write_cbis_ddsm
from radboost.extractor.backbone.shipped import FOLDER
from radboost.extractor.backbone.weights import read_checkpoint, weights_sha256
from radboost.extractor.train.training import Training

NAME = "phantom"
FILMS = CbisPhantom(
    200, seed=910_001, pixels=768, density_mix={"1": 0.25, "2": 0.25, "3": 0.25, "4": 0.25}, test=0.0, swapped=0.0
)
BREASTS = BreastPhantom(400, seed=910_002, pixels=768, prevalence=0.4, site_mix={1: 1.0, 2: 1.0, 3: 1.0})
# Patients are dealt to folds by hashes under a cohort's key, which is else drawn anew; nobody is hidden by these.
KEYS = {
    "films": "50ab57e42df8f009316eec341123d1ebde1fcc1222bfad5f763d01c86be6a9a0",
    "screening": "6bb14687a476210f95df398e163e3a515d224ef815010a17eaf879f838fe5b80",
}
CUT = ("--patches", "10", "--size", "108")
PATCHES = ("films", "--task", "cbis-ddsm", *CUT, "--folds", "5", "--key", "films.key", "--out", "patches")
SCREENED = ("screening", "--task", "rsna-breast", "--folds", "5", "--key", "screening.key", "--out", "breasts")
LEARNT = ("--fold", "0", "--device", "cpu", "--precision", "fp32")
STEPS = (
    ("index", *PATCHES),
    ("train", "patches", "--config", "backbone-patches", *LEARNT, "--out", "patch-network"),
    ("index", *SCREENED),
    (
        *("train", "breasts", "--config", "backbone-breasts", "--checkpoint"),
        *("patch-network/fold0/network.safetensors", *LEARNT, "--out", "breast-network"),
    ),
)


def run(place: Path, words: tuple[str, ...]) -> str:
    """Run a command as a user does, unless its result is there; give it as it is typed."""
    said = shlex.join(("radboost", *words))
    print(f"\n$ {said}", flush=True)
    if not (place / words[-1]).is_dir():
        subprocess.run([sys.executable, "-m", "radboost", *words], cwd=place, check=True)
    return said


def scores(folder: Path) -> dict[str, float]:
    """What a training's fold 0 said of patients that it had not seen."""
    table = Training.load(folder).predictions.table
    wide = table.pivot_table(index="unit", columns="class", values=["p", "y"])
    p, y = wide["p"], wide["y"]
    if p.shape[1] == 1:
        from radboost.metrics import auc

        return {"units": len(p), "auc": round(auc(y.to_numpy().ravel().astype(int), p.to_numpy().ravel()), 4)}
    right = p.to_numpy().argmax(1) == y.to_numpy().argmax(1)
    return {"units": len(p), "accuracy": round(float(pd.Series(right).mean()), 4)}


def write(folder: Path, made: dict[str, Any]) -> None:
    """Write weights and card."""
    state = read_checkpoint(folder / "fold0" / "network.safetensors")
    half = {n: t.half().contiguous() if t.is_floating_point() else t for n, t in state.items()}
    card = read_json(FOLDER / f"{NAME}.json")
    card["weights_sha256"] = weights_sha256({n: t.float() if t.is_floating_point() else t for n, t in half.items()})
    card["seeds"] = [FILMS.seed, BREASTS.seed]
    card["made"] = made
    save_file(half, FOLDER / f"{NAME}.safetensors")
    (FOLDER / f"{NAME}.json").write_text(json.dumps(card, indent=1) + "\n", "utf-8")


def main() -> None:
    """Make it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="folder to work in, and to go on in; a temporary one if not given")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = (options.work or Path(temporary)).resolve()
        place.mkdir(parents=True, exist_ok=True)
        for name, phantom, make in (("films", FILMS, write_cbis_ddsm), ("screening", BREASTS, write_rsna_breast)):
            print(f"\nwrite {name}: {phantom}", flush=True)
            (place / f"{name}.key").write_text(KEYS[name] + "\n", "ascii")
            if not (place / name).is_dir():
                make(place / name, phantom)
        commands = [run(place, step) for step in STEPS]
        made = {
            "on": [repr(FILMS), repr(BREASTS)],
            "by": commands,
            "scores": {name: scores(place / name) for name in ("patch-network", "breast-network")},
            "threads": torch.get_num_threads(),
            "versions": environment(),
        }
        write(place / "breast-network", made)
        print(json.dumps(made, indent=1))


if __name__ == "__main__":
    main()
