"""What NVIDIA's data sheets promise: FLOP/s of matrix products at most, dense, by dtype; memory.

Sheets since Ampere print numbers with 2:4 sparsity beside or in place of the dense ones; those are
half of them. Both uses of such a number are told apart by who reads it: model FLOPs utilization
(MFU, Chowdhery et al. 2022, "PaLM", appendix B) is over the sheet's, to compare machines; over the
rate that this very GPU reaches in a matrix product it says what a better program could gain.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

TERA = 1e12


@dataclass(frozen=True)
class Sheet:
    """The peak rates of a GPU according to its data sheet."""

    name: str
    """of the GPU and the document"""
    flops: Mapping[str, float]
    """FLOP/s (int8: operations/s) by "fp32", "tf32", "bf16", "fp16", "fp8", "int8", dense"""


def _sheet(name: str, **tera: float) -> Sheet:
    """Return the sheet of a GPU; `half` stands for bf16 and fp16, `eight` for fp8 and int8."""
    rates = dict(tera)
    if half := rates.pop("half", None):
        rates |= {"bf16": half, "fp16": half}
    if eight := rates.pop("eight", None):
        rates |= {"fp8": eight, "int8": eight}
    return Sheet(name, {dtype: TERA * rate for dtype, rate in rates.items()})


# HGX B200, Blackwell data sheet: 4.5 PFLOP/s fp16 with sparsity
_B200 = _sheet("B200, HGX data sheet", fp32=75, tf32=1100, half=2250, eight=4500)
# data sheets of the NVL cards: 1,671 TFLOP/s bf16 with sparsity
_NVL = _sheet("H100/H200 NVL data sheet", fp32=60, tf32=417.5, half=835.5, eight=1670.5)
# "NVIDIA H100 Tensor Core GPU Architecture", table 2; H200 and GH200 have the chip of H100 SXM
_PCIE = _sheet("H100 PCIe white paper", fp32=51.2, tf32=378, half=756, eight=1513)
_SXM = _sheet("H100/H200 SXM white paper", fp32=66.9, tf32=494.7, half=989.4, eight=1978.9)
# nvidia-a100-datasheet-us-nvidia-1758950-r4: SXM and PCIe alike
_A100 = _sheet("A100 data sheet", fp32=19.5, tf32=156, half=312, int8=624)

SHEETS: tuple[tuple[str, Sheet], ...] = (
    (r"\bB200\b", _B200),
    (r"\bH[12]00 NVL\b", _NVL),
    (r"\bH100 PCIe\b", _PCIE),
    (r"\bG?H[12]00\b", _SXM),
    (r"\bA100\b", _A100),
    (r"\bA30\b", _sheet("A30 data sheet", fp32=10.3, tf32=82, half=165, int8=330)),
    (r"\bA10\b", _sheet("A10 data sheet", fp32=31.2, tf32=62.5, half=125, int8=250)),
    (r"\bL40S\b", _sheet("L40S data sheet", fp32=91.6, tf32=183, half=362.05, eight=733)),
    (r"\bL4\b", _sheet("L4 data sheet", fp32=30.3, tf32=60, half=121, eight=242.5)),
    (r"\bV100-PCIE\b", _sheet("V100 PCIe data sheet", fp32=14, fp16=112)),
    (r"\bV100\b", _sheet("V100 SXM2 data sheet", fp32=15.7, fp16=125)),
    (r"\bT4\b", _sheet("T4 data sheet", fp32=8.1, fp16=65, int8=130)),
)
"""The first pattern that is found in the name that PyTorch gives counts."""

CARDS: tuple[tuple[str, int], ...] = (
    ("T4", 16),
    ("V100 16 GB", 16),
    ("A10", 24),
    ("L4", 24),
    ("A30", 24),
    ("V100 32 GB", 32),
    ("A100 40 GB", 40),
    ("L40S", 48),
    ("A100 80 GB", 80),
    ("H100 PCIe", 80),
    ("H100", 80),
    ("H100 NVL", 94),
    ("H200", 141),
    ("B200", 180),
)
"""Name and memory in GB (10^9 bytes) of cards that have a sheet, as the sheets say; a card of
NVIDIA's as PyTorch sees it has somewhat less where it corrects errors in the same memory."""


def sheet_of(gpu: str) -> Sheet | None:
    """Return the sheet of a GPU by PyTorch's name of it; None for a GPU that is not in the table,
    and for a part of one (MIG), which has only a part of its peaks."""
    if re.search(r"\bMIG\b", gpu):
        return None
    return next((sheet for pattern, sheet in SHEETS if re.search(pattern, gpu)), None)
