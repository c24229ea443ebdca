from __future__ import annotations

import torch

from radboost.extractor.backbone import weights_sha256

STATE = {
    "a": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "b": torch.tensor(3),
    "c": torch.ones(2, dtype=torch.bfloat16),
}


def test_order_and_memory_layout_do_not_show():
    turned = {name: STATE[name] for name in reversed(STATE)}
    turned["a"] = STATE["a"].t().contiguous().t()
    assert not turned["a"].is_contiguous()
    assert weights_sha256(turned) == weights_sha256(STATE)


def test_name_shape_type_and_value_show():
    others = [
        {**STATE, "b": torch.tensor(4)},
        {**STATE, "a": STATE["a"].reshape(3, 2)},
        {**STATE, "c": STATE["c"].view(torch.float16)},
        {("d" if n == "c" else n): t for n, t in STATE.items()},
        {n: t for n, t in STATE.items() if n != "c"},
    ]
    hashes = {weights_sha256(s) for s in [STATE, *others]}
    assert len(hashes) == 6
