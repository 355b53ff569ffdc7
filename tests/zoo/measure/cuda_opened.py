"""A module that has opened NVIDIA's driver as it was imported, and a child can use it too."""

from tests.zoo.measure import named_thread

named_thread.start("cuda00001800007")
named_thread.fake_torch(lambda: None)
