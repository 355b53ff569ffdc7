"""A variation that is asked for and left out is refused."""

import pytest

from tasks.errors import UserError
from tasks.speech import augment_args as sounds
from tasks.variations import Variations
from tasks.vision import augment_args as images


@pytest.mark.parametrize("kind", [images, sounds])
def test_a_view_without_variations_asks_for_none(kind: object) -> None:
    still = kind.AugmentArgs(augment="none", **kind.STILL)
    still.must_have_effect(kind.STILL)
    for name in kind.STILL:
        default = kind.AugmentArgs(augment="none")
        default.must_have_effect(())
        if getattr(default, name) != kind.STILL[name]:
            with pytest.raises(UserError, match=f"`{name}` .*no effect with `augment` none"):
                default.must_have_effect((name,))


@pytest.mark.parametrize(
    ("args", "given", "said"),
    [
        (images.AugmentArgs("none", noise=0.1), "noise", "`noise` 0.1 has no effect"),
        (images.AugmentArgs("none", vflip=True), "vflip", "`vflip` has no effect"),
        (images.AugmentArgs("randaugment"), "color_jitter", "`augment` randaugment"),
        (sounds.AugmentArgs("none", pauses=2), "pauses", "`pauses` 2 has no effect"),
    ],
)
def test_what_has_no_effect_is_named(args: Variations, given: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        args.must_have_effect(("learning_rate", given))


def test_a_default_that_nobody_typed_is_called_one() -> None:
    args = images.AugmentArgs("none", noise=0.1)
    with pytest.raises(UserError, match="leave out one of the two"):
        args.must_have_effect(("noise", "augment"))
    with pytest.raises(UserError, match="the default here: give `augment` default, too"):
        args.must_have_effect(("noise",))


def test_a_still_view_is_known() -> None:
    assert images.AugmentArgs(**images.STILL).changes_nothing
    assert images.AugmentArgs("none").changes_nothing
    assert not images.AugmentArgs("randaugment", **images.STILL).changes_nothing
    for name in images.STILL:
        value = {"crop_scale": 0.9, "hflip": "on", "vflip": True, "rotation": 5.0}.get(name, 0.1)
        assert not images.AugmentArgs(**images.STILL | {name: value}).changes_nothing, name
