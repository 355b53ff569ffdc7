"""A module that has opened NVIDIA's driver as it was imported: a child can't use it."""

from tests.zoo.measure import named_thread


def fail() -> None:
    """As torch does where the driver refuses."""
    raise RuntimeError("CUDA error: initialization error")


named_thread.start("cuda00001800007")
named_thread.fake_torch(fail)
