"""The background's spectrum: what makes lesions as hard to see as they are."""

from __future__ import annotations

import numpy as np
import pytest

from radboost.data.phantom.texture import power_law_field


@pytest.mark.parametrize("beta", [2.0, 3.0, 3.6])
def test_power_falls_with_the_exponent_asked_for(beta):
    # The radial mean over several fields, on frequencies between the outer scale and the grid's limit.
    size = 256
    power = np.zeros((size, size))
    for seed in range(8):
        field = power_law_field((size, size), beta, np.random.default_rng(seed), outer=0.5)
        power += np.abs(np.fft.fft2(field)) ** 2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(size, 1 / size), np.fft.fftfreq(size, 1 / size)))
    use = (frequency > 8) & (frequency < 100)
    slope = np.polyfit(np.log(frequency[use]), np.log(power[use]), 1)[0]
    assert slope == pytest.approx(-beta, abs=0.12)


def test_spectrum_is_the_same_along_both_axes_of_a_rectangle():
    # Anisotropic texture would give the orientation of a frame away. Mean squared steps compare the two axes.
    down, along = [], []
    for seed in range(12):
        field = power_law_field((240, 160), 3.0, np.random.default_rng(seed), outer=0.15)
        down.append(np.mean(np.diff(field, axis=0) ** 2))
        along.append(np.mean(np.diff(field, axis=1) ** 2))
    assert np.mean(down) == pytest.approx(np.mean(along), rel=0.06)
