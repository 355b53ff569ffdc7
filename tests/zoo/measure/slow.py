"""A module that takes long to be imported."""

import time

time.sleep(1000)
