from __future__ import annotations

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from radboost.data.store import differing

# How fast examples are drawn is the machine's affair.
relaxed = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=3)
nested = st.recursive(
    leaves, lambda inner: st.dictionaries(st.text("abc", min_size=1), inner, max_size=3), max_leaves=8
)
fingerprints = st.dictionaries(st.text("abc", min_size=1), nested, max_size=4)


@relaxed
@given(fingerprints)
def test_a_fingerprint_equals_itself_after_json(fingerprint):
    # What a store.json gives back must never be told apart from what was written.
    assert differing(json.loads(json.dumps(fingerprint)), fingerprint) == {}


@relaxed
@given(fingerprints, fingerprints)
def test_differing_is_symmetric(a, b):
    assert differing(a, b) == {name: (new, old) for name, (old, new) in differing(b, a).items()}


def test_a_field_that_one_lacks_is_named():
    assert differing({"a": 1, "b": {"c": 2}}, {"a": 1}) == {"b.c": (2, None)}
    assert differing({"a": 1}, {"a": 1, "d": (1, 2)}) == {"d": (None, [1, 2])}
