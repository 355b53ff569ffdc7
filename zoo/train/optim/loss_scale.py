"""Loss scaling for training in fp16, whose smallest numbers lose small gradients.

Micikevicius et al. 2018 (https://arxiv.org/abs/1710.03740), section 3.2, with the dynamic scale and
the defaults of `torch.amp.GradScaler`. Scale and count stay on the device, and are updated there.
"""

import torch
from torch import Tensor

INITIAL = 2.0**16
GROWTH, BACKOFF, INTERVAL = 2.0, 0.5, 2000
FLOOR = 1.0
"""A gradient norm that is not finite at this scale is so by itself."""


class LossScaler:
    """The factor that losses are multiplied by before the backward pass, and gradients divided by
    after it."""

    def __init__(self, device: torch.device) -> None:
        self.scale = torch.full((), INITIAL, device=device)  # float32
        self.good_steps = torch.zeros((), dtype=torch.int32, device=device)  # since it changed

    def after_step(self, finite: Tensor, found_inf: Tensor) -> Tensor:
        """Halve the scale if gradients overflowed, and double it after 2000 steps without overflow.

        Args:
            finite: bool [2], whether loss and gradient norm are.
            found_inf: float32 scalar, 1 where one of them is not: the optimizer skips the step.

        Returns:
            bool [2]: `finite`, but True for the norm where a lower scale may help. The loss itself
            is not scaled.
        """
        may_help = self.scale > FLOOR
        forgiven = finite | torch.stack([torch.zeros_like(may_help), may_help])
        torch._amp_update_scale_(self.scale, self.good_steps, found_inf, GROWTH, BACKOFF, INTERVAL)
        self.scale.clamp_(min=FLOOR)
        return forgiven
