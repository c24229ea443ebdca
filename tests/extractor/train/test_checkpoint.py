from __future__ import annotations

import struct

import pytest
import torch

from radboost.errors import FormatError, RadboostError
from radboost.extractor.train.checkpoint import read_checkpoint_file, write_checkpoint_file

CONTENT = {
    "state": {0: {"step": torch.tensor(3.0), "mean": torch.randn(2, 3)}, "names": ["a", None, True]},
    "betas": (0.9, 0.999),
    "worst": float("inf"),
    "tenth": 0.1,
    "half": torch.ones(2, dtype=torch.bfloat16),
}


def test_what_is_written_is_read_bit_for_bit(tmp_path):
    path = tmp_path / "last.safetensors"
    write_checkpoint_file(CONTENT, path)
    found = read_checkpoint_file(path)
    assert torch.equal(found["state"][0]["mean"], CONTENT["state"][0]["mean"])
    assert found["half"].dtype == torch.bfloat16
    assert found["state"]["names"] == ["a", None, True]
    assert (found["betas"], found["worst"], found["tenth"]) == ((0.9, 0.999), float("inf"), 0.1)
    assert [p.name for p in tmp_path.iterdir()] == ["last.safetensors"]


def test_a_checkpoint_that_was_changed_is_refused(tmp_path):
    path = tmp_path / "last.safetensors"
    write_checkpoint_file(CONTENT, path)
    content = bytearray(path.read_bytes())
    (header,) = struct.unpack("<Q", content[:8])
    content[8 + header + 5] ^= 1
    path.write_bytes(content)
    with pytest.raises(FormatError, match="not the checkpoint that was written"):
        read_checkpoint_file(path)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(FormatError, match="cannot be read as a checkpoint"):
        read_checkpoint_file(path)


def test_no_object_is_written(tmp_path):
    with pytest.raises(RadboostError, match="neither number, text nor tensor.*object"):
        write_checkpoint_file({"a": object()}, tmp_path / "x.safetensors")
    assert not list(tmp_path.iterdir())
