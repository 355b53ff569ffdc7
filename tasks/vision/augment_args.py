"""What can be said about the augmentation of images; light, for the command line."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from tasks.bounds import Bounds, Share
from tasks.variations import Variations

STILL = {
    "crop_scale": 1.0,
    "crop_padding": 0.0,
    "hflip": "off",
    "vflip": False,
    "rotation": 0.0,
    "color_jitter": 0.0,
    "noise": 0.0,
    "mixup": 0.0,
    "cutmix": 0.0,
    "random_erasing": 0.0,
}
"""Values that vary nothing."""


@dataclass(frozen=True)
class AugmentArgs(Variations):
    """How training images are varied, anew in every epoch."""

    UNUSED: ClassVar = {"none": STILL, "randaugment": {"color_jitter": 0.0}}

    augment: Literal["default", "none", "randaugment"] = "default"
    """default: the variations below; randaugment: two random operations in place of color_jitter;
    none: images as they are"""
    crop_scale: Annotated[float, Bounds(0.01, 1)] = 0.5
    """smallest share of the area that a random crop keeps, resized to full size; 1 crops nothing"""
    crop_padding: Annotated[float, Bounds(0, 0.5)] = 0.0
    """largest random shift, as a share of height and width"""
    hflip: Literal["auto", "on", "off"] = "auto"
    """mirror left and right half of the time; auto: unless the images are characters"""
    vflip: bool = False
    """turn upside down half of the time, for pictures from above or through a microscope"""
    rotation: Annotated[float, Bounds(0, 180)] = 0.0
    """largest random rotation in degrees"""
    padding: Literal["reflection", "zeros"] = "reflection"
    """what shifts and rotations bring in from outside the image"""
    color_jitter: Share = 0.2
    """strength of random brightness, contrast and saturation: 0.2 is a factor of 0.8 to 1.2"""
    noise: Share = 0.0
    """standard deviation of added noise, where black is 0 and white is 1"""
    mixup: Annotated[float, Bounds(0, 100)] = 0.0
    """alpha of mixup: blend with another image and its label; 0 is off"""
    cutmix: Annotated[float, Bounds(0, 100)] = 0.0
    """alpha of cutmix: paste a piece of another image, labels by area; 0 is off"""
    random_erasing: Share = 0.0
    """probability that a random rectangle is erased"""

    @property
    def changes_nothing(self) -> bool:
        """Whether the standard view of an image is the image: every variation is off."""
        if self.augment == "randaugment":
            return False
        is_off = all(getattr(self, name) == off for name, off in STILL.items())
        return self.augment == "none" or is_off
