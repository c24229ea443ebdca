"""A training that is killed outright, as a machine's end would: the same command ends with the same bits."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from radboost.extractor.train.checkpoint import read_checkpoint_file

EPOCHS = 24


@pytest.mark.proof
def test_a_training_that_was_killed_ends_as_one_that_was_not(cohort, tmp_path):
    schedule = tmp_path / "long.toml"
    schedule.write_text(f'[[stage]]\nname = "long"\nepochs = {EPOCHS}\nrate = 0.001\n')

    def begin(out):
        words = ("--schedule", schedule, "--size", 64, "--fold", 0, "--workers", 1, "--device", "cpu")
        words = (*words, "--backbone", "test_resnet", "--random-init", 0, "--out", out)
        command = [sys.executable, "-m", "radboost", "train", *map(str, (cohort, *words))]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    assert begin(tmp_path / "whole").wait(600) == 0
    last = tmp_path / ".cut.training" / "fold0" / "0-long" / "last.safetensors"
    ends = []
    for epochs in (2, 7):
        process = begin(tmp_path / "cut")
        until = time.monotonic() + 300
        while not last.is_file() or read_checkpoint_file(last)["keeper"]["epochs"] < epochs:
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
        ends.append(read_checkpoint_file(last)["keeper"]["epochs"])
    assert 2 <= ends[0] < ends[1] < EPOCHS
    assert begin(tmp_path / "cut").wait(600) == 0
    one, two = (load_file(tmp_path / name / "fold0" / "network.safetensors") for name in ("whole", "cut"))
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    tables = [pd.read_csv(tmp_path / name / "epochs.csv") for name in ("whole", "cut")]
    assert tables[0].equals(tables[1])
    # The log says that it was begun three times.
    assert (tmp_path / "cut" / "log.txt").read_text().count("train fold 0") == 3
