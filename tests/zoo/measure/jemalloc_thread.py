"""A module whose import leaves jemalloc's thread behind, as pyarrow's does."""

from tests.zoo.measure import named_thread

named_thread.start("jemalloc_bg_thd")
