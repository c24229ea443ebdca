"""What files may do to a run: nothing. Each becomes one crop or one reason, the same one every time."""

from __future__ import annotations

import re
import resource
from contextlib import suppress
from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from radboost.data.crop import CropJob, PixelPolicy
from radboost.data.dicom import DicomImage, read_header, write_dicom
from radboost.data.pool import Done, Limits, Pool
from radboost.data.render import render
from radboost.errors import PixelError

POLICY = PixelPolicy(32, "breast", mirror=True)
SYNTAXES = [
    "ExplicitVRLittleEndian",
    "ImplicitVRLittleEndian",
    "DeflatedExplicitVRLittleEndian",
    "RLELossless",
    "JPEGLosslessSV1",
    "JPEGLSLossless",
    "JPEG2000Lossless",
    "HTJ2KLossless",
]


def outcomes(jobs):
    """(crop's digest or reason) of each job, in order."""
    found = []
    with Pool(2, Limits(seconds=20, memory_bytes=2 << 30), slot_shape=POLICY.shape) as pool:
        for result in pool.map(partial(render, policy=POLICY), jobs):
            done = isinstance(result, Done)
            found.append(hash(result.pixels.tobytes()) if done else (result.kind, result.reason))
    return found


def test_355_malformed_files_cost_one_row_each_and_the_same_twice(shared_data):
    jobs = [CropJob(str(path)) for path in sorted((shared_data / "malformed").rglob("*.dcm"))]
    assert len(jobs) == 355
    first = outcomes(jobs)
    assert len(first) == len(jobs)  # every file accounted for
    failed = [reason for reason in first if isinstance(reason, tuple)]
    assert {kind for kind, _ in failed} == {"unreadable"}  # no crash, no time or memory limit, nothing unexpected
    # Readable is what a reader may forgive; the rest is told apart by what was found.
    assert 200 <= len(jobs) - len(failed) <= 260
    kinds = {re.sub(r"\d[\d,.]*", "N", reason) for _, reason in failed}
    assert len(kinds) >= 25
    assert not [reason for _, reason in failed if "malformed" in reason]  # reasons name no path
    assert outcomes(jobs) == first


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Give the folder of one small film in every syntax."""
    y, x = np.mgrid[:96, :80]
    film = (3000 * np.exp(-((x / 40) ** 2) - ((y - 48) / 30) ** 2) + 100).astype(np.uint16)
    film += np.random.default_rng(0).integers(0, 60, film.shape).astype(np.uint16)
    folder = tmp_path_factory.mktemp("sound")
    for syntax in SYNTAXES:
        image = DicomImage(film, 12, transfer_syntax=syntax, windows=((2048, 4096),), attributes={"PatientID": "1"})
        write_dicom(folder / syntax, image)
    return folder


BIG = st.sampled_from([0, 1, 2, 255, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF])
MUTATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("truncate"), st.floats(0, 1), st.just(0)),
        st.tuples(st.just("flip"), st.floats(0, 1), st.integers(1, 255)),
        st.tuples(st.just("grow length"), st.floats(0, 1), BIG),
        st.tuples(st.just("lie about rows"), st.just(0.0), BIG),
        st.tuples(st.just("lie about columns"), st.just(0.0), BIG),
        st.tuples(st.just("lie about bits"), st.just(0.0), BIG),
    ),
    min_size=1,
    max_size=4,
)
_TAGS = {
    "lie about rows": b"\x28\x00\x10\x00",
    "lie about columns": b"\x28\x00\x11\x00",
    "lie about bits": b"\x28\x00\x00\x01",
}


def mutated(data, mutations):
    out = bytearray(data)
    for kind, where, value in mutations:
        at = min(int(where * len(out)), max(0, len(out) - 1))
        if kind == "truncate":
            del out[at:]
        elif kind == "flip" and out:
            out[at] ^= value
        elif kind == "grow length":
            out[at : at + 4] = value.to_bytes(4, "little")
        elif kind in _TAGS and (found := out.find(_TAGS[kind])) >= 0:
            out[found + 8 : found + 10] = (value & 0xFFFF).to_bytes(2, "little")
    return bytes(out)


def attempt(path):
    """A crop's digest or a reason; anything but a PixelError or a lack of memory is a fault of ours."""
    out = np.zeros(POLICY.shape, np.uint16)
    try:
        info = render(CropJob(str(path)), POLICY, out)
    except PixelError as error:
        return str(error)
    except MemoryError:
        return "memory"
    left, top, right, bottom = info.box
    assert 0 <= left < right
    assert 0 <= top < bottom
    return out.tobytes()


def survives(folder, sound, mutations):
    path = folder / "mutated.dcm"
    path.write_bytes(mutated(sound.read_bytes(), mutations))
    first = attempt(path)
    assert attempt(path) == first
    with suppress(PixelError):
        read_header(path)


@pytest.fixture(scope="module")
def bounded():
    """The limit a worker has, for this process: a mutation that asks for terabytes must not get them."""
    old = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (12 << 30, old[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, old)


@pytest.mark.parametrize("syntax", SYNTAXES)
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mutations=MUTATIONS)
@example(mutations=[("lie about rows", 0.0, 0xFFFF), ("lie about columns", 0.0, 0xFFFF)])
@example(mutations=[("lie about rows", 0.0, 1)])
@example(mutations=[("truncate", 0.9, 0)])
def test_mutated_files_become_a_crop_or_a_reason(sound, tmp_path, bounded, syntax, mutations):
    survives(tmp_path, sound / syntax, mutations)


@pytest.mark.proof
@pytest.mark.parametrize("syntax", SYNTAXES)
@settings(max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mutations=MUTATIONS)
def test_many_mutated_files_become_a_crop_or_a_reason(sound, tmp_path, bounded, syntax, mutations):
    survives(tmp_path, sound / syntax, mutations)
