"""What is learned: tasks, their data and metrics. Imports nothing else of this repository."""

from tasks import import_hook

import_hook.install()
