"""Random fields with a power-law spectrum, the standard model of mammographic background."""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

__all__ = ["power_law_field"]


def power_law_field(
    shape: tuple[int, int], beta: float, rng: np.random.Generator, *, outer: float = 0.5
) -> NDArray[np.float32]:
    """Gaussian random field whose power falls as ``(f^2 + f_0^2)^(-beta / 2)``.

    Mammographic background follows this law with beta near 3 (Burgess, Jacobson and Judy, Medical Physics 28, 2001).

    Parameters
    ----------
    shape
        Rows and columns.
    beta
        Exponent of the power spectrum, not of the amplitude.
    rng
        Source of the phases and amplitudes.
    outer
        Outer scale as a share of the number of rows: larger structures gain no further power, ``f_0 = 1 / outer``.

    Returns
    -------
    Field of ``shape`` with mean 0 and standard deviation 1, periodic in both axes.

    >>> field = power_law_field((64, 48), 3.0, np.random.default_rng(0))
    >>> field.shape, abs(float(field.mean())) < 1e-5, abs(float(field.std()) - 1) < 1e-5
    ((64, 48), True, True)
    """
    rows, columns = shape
    # An even, FFT-friendly size is drawn and cropped: prime sizes would cost several times as much.
    rows_fast, columns_fast = (2 * scipy.fft.next_fast_len((n + 1) // 2, real=True) for n in shape)
    # Frequencies in cycles per image height on both axes keep the field isotropic on a rectangle.
    down = scipy.fft.fftfreq(rows_fast, 1 / rows).astype(np.float32)
    along = scipy.fft.rfftfreq(columns_fast, 1 / rows).astype(np.float32)
    squared = down[:, None] ** 2 + along[None, :] ** 2
    squared += np.float32(1 / outer**2)
    amplitude = np.exp(np.float32(-beta / 4) * np.log(squared))
    amplitude[0, 0] = 0
    spectrum = rng.standard_normal((*amplitude.shape, 2), dtype=np.float32).view(np.complex64)[..., 0]
    spectrum *= amplitude
    field = scipy.fft.irfft2(spectrum, s=(rows_fast, columns_fast), overwrite_x=True)[:rows, :columns]
    field -= field.mean(dtype=np.float64)
    field /= field.std(dtype=np.float64)
    return np.ascontiguousarray(field, dtype=np.float32)
