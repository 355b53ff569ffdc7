"""Numbers as text."""

import math

SCALES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k"))
"""From where on a tick is written with which letter; k from 10,000 on."""

PLAIN = (1e-4, 1e12)
"""Between them numbers are written without an exponent."""


def significant(value: float, digits: int = 4) -> str:
    """1234.5678 as 1,235; 0.0123456 as 0.01235; 1.2345e-7 as 1.234e-07 (of four digits)."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    if not PLAIN[0] <= abs(value) < PLAIN[1]:
        return f"{value:.{digits - 1}e}"
    rounded = float(f"{value:.{digits - 1}e}")
    places = digits - 1 - math.floor(math.log10(abs(rounded)))
    return f"{rounded:,.{max(0, places)}f}"


def tick(value: float) -> str:
    """At an axis, short: 0.5, 20, 1,000, 50k, 2M."""
    for size, letter in SCALES:
        if abs(value) >= size:
            return f"{value / min(size, 1e3 if letter == 'k' else size):g}{letter}"
    return f"{value:,g}"
