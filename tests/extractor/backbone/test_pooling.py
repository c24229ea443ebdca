from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from radboost.errors import UserError
from radboost.extractor.backbone import BackboneConfig
from radboost.extractor.backbone.pooling import Layout, canonical_pools, pooled

FEATURES = torch.randn(2, 5, 12, generator=torch.Generator().manual_seed(0))
"""A class token, a register, three patches."""
TOKENS = Layout(prefix=2, has_cls=True)


def test_which_tokens_each_pooling_sees():
    found = pooled(FEATURES, TOKENS, ("avg", "cls", "max", "token-mean"))
    assert torch.equal(found["avg"], FEATURES[:, 2:].mean(1))
    assert torch.equal(found["max"], FEATURES[:, 2:].amax(1))
    assert torch.equal(found["cls"], FEATURES[:, 0])
    assert torch.equal(found["token-mean"], FEATURES.mean(1))


@pytest.mark.parametrize("k", [2, 3, 12])
def test_channelmax_is_the_maximum_over_space_and_adjacent_channels(k):
    # By loops, from the recipe: max over space, then over groups of K neighbours.
    found = pooled(FEATURES, TOKENS, (f"channelmax-{k}",))[f"channelmax-{k}"]
    for image in range(2):
        wanted = [FEATURES[image, 2:, c : c + k].max() for c in range(0, 12, k)]
        assert found[image].tolist() == wanted


def test_a_map_gives_the_same_however_it_lies_in_memory():
    images = torch.randn(2, 8, 3, 4)
    first, last = (
        pooled(features, Layout(channels_last=flag), ("avg", "channelmax-4"))
        for features, flag in ((images, False), (images.permute(0, 2, 3, 1), True))
    )
    for name in first:
        torch.testing.assert_close(first[name], last[name])


def test_one_pooling_does_not_depend_on_what_else_is_asked():
    names = ("avg", "avgmax", "channelmax-3", "cls", "max", "token-mean")
    together = pooled(FEATURES, TOKENS, names)
    assert list(together) == list(names)
    for name in names:
        assert torch.equal(pooled(FEATURES, TOKENS, (name,))[name], together[name])


@given(st.integers(2, 999_999))
def test_every_spelling_of_a_group_is_one_name(k):
    spellings = (f"channelmax:{k}", f"channelmax-{k}", f"channelmax:{k:06d}")
    assert canonical_pools(spellings) == (f"channelmax-{k}",)


def test_names_are_safe_in_files_and_datasets():
    # Neither HDF5 nor any file system of today gives these characters a meaning.
    assert all(c.isalnum() or c == "-" for name in BackboneConfig("m", pool=("channelmax:4",)).pool for c in name)


@pytest.mark.parametrize(
    "pool", ["channelmax", "channelmax:", "channelmax:K", "channelmax:2.5", "channelmax:-4", "gem"]
)
def test_an_unknown_pooling_names_those_there_are(pool):
    with pytest.raises(UserError, match=r"channelmax:K"):
        canonical_pools((pool,))


@pytest.mark.parametrize("k", [0, 1])
def test_a_group_of_one_is_no_group(k):
    with pytest.raises(UserError, match="Give max"):
        canonical_pools((f"channelmax:{k}",))
