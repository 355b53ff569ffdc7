"""Settings that say how training samples are varied, and whether one of them would do nothing."""

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from tasks.bounds import Bounded
from tasks.errors import UserError


class Variations(Bounded):
    """A base class of the settings of an augmentation, which `augment` chooses."""

    augment: str
    UNUSED: ClassVar[Mapping[str, Mapping[str, Any]]]
    """By the value of `augment`: the settings that it does not look at, and the value of each that
    varies nothing anyway."""

    def must_have_effect(self, given: Collection[str]) -> None:
        """Check the settings that were asked for.

        Args:
            given: names of settings; those at their defaults by themselves are not among them.

        Raises `UserError` for one that asks for what `augment` leaves out.
        """
        for name, off in self.UNUSED.get(self.augment, {}).items():
            value = getattr(self, name)
            if name in given and value != off:
                shown = "" if isinstance(value, bool) else f" {value}"
                way = "leave out one of the two"
                if "augment" not in given:
                    way = "which is the default here: give `augment` default, too"
                raise UserError(
                    f"`{name}`{shown} has no effect with `augment` {self.augment}"
                    f"{':' if 'augment' in given else ','} {way}"
                )
