from __future__ import annotations

import pytest
import torch

from radboost.errors import UserError
from radboost.nets.device import PRECISIONS, autocast, device_kind, one_thread, resolve_device, resolve_precision


@pytest.fixture
def no_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def two_cards(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.usefixtures("no_cuda")
def test_without_cuda_auto_is_the_cpu_and_cuda_is_refused():
    assert resolve_device("auto") == resolve_device("cpu") == torch.device("cpu")
    for name in ("cuda", "cuda:0"):
        with pytest.raises(UserError, match="--device cpu"):
            resolve_device(name)


@pytest.mark.usefixtures("two_cards")
def test_with_cuda_auto_takes_it_and_a_card_must_exist():
    assert resolve_device("auto").type == "cuda"
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(UserError, match="There are 2"):
        resolve_device("cuda:2")


@pytest.mark.parametrize("name", ["tpu", "cuda:x", "", "cpu:zero"])
def test_unknown_devices_are_refused(name):
    with pytest.raises(UserError, match="unknown device"):
        resolve_device(name)


def test_automatic_precision_follows_the_device(monkeypatch):
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert resolve_precision("auto", cpu) == "fp32"
    for supported, name in ((True, "bf16"), (False, "fp16")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda supported=supported: supported)
        assert resolve_precision("auto", cuda) == name
    assert [resolve_precision(p, cpu) for p in PRECISIONS] == list(PRECISIONS)
    with pytest.raises(UserError, match="bf16"):
        resolve_precision("int8", cpu)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_products_are_taken_in_the_precision(precision):
    cpu = torch.device("cpu")
    assert device_kind(cpu) == "cpu"
    with torch.inference_mode(), autocast(cpu, precision):
        assert torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype == PRECISIONS[precision]


def test_one_thread_is_given_back_even_after_an_error():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(RuntimeError), one_thread():
            assert torch.get_num_threads() == 1
            raise RuntimeError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
