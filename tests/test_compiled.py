import numba
import numpy as np

from segscape.compiled import compiled, fma


def test_without_a_place_for_its_cache_it_compiles_anew(monkeypatch):
    original = numba.njit

    def njit(*functions, **options):
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return original(*functions, **options)

    monkeypatch.setattr(numba, "njit", njit)
    assert compiled(lambda x: x + 1)(1) == 2


def test_fma_rounds_once():
    """(1 + 2⁻¹²)² = 1 + 2⁻¹¹ + 2⁻²⁴, whose last part a float32 product loses."""
    joined = numba.njit(lambda a, b, c: fma(a, b, c))
    a = np.float32(1 + 2**-12)
    assert joined(a, a, np.float32(-1)) == np.float32(2**-11 + 2**-24)
    assert a * a - np.float32(1) == np.float32(2**-11)
