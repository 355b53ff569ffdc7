"""What is learned: tasks, their data and metrics. Imports nothing else of this repository."""

from tasks import torch_extensions

torch_extensions.install()
