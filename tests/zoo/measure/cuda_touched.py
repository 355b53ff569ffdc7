"""A module that has asked CUDA's driver for something as it was imported: a fork can't use it."""

import sys
import types

torch = types.ModuleType("torch")
torch.cuda = types.SimpleNamespace(_is_in_bad_fork=lambda: True)  # type: ignore[attr-defined]
sys.modules["torch"] = torch
