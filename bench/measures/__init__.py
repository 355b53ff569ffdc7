"""The measures there are: each a file with `measure(job)`, which gives a
`bench.record.results.MeasureResult`.

Those that load a case by `Job.ask` or `Job.worker` may share its process, one after the other; the
others take processes of their own. An arm that fails raises `zoo.measure.process.WorkerFailed`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from bench.cases.case import Case
from zoo.measure.workload import Forward, Generate, TrainStep, Workload
from zoo.runtimes.deployment import Deployment

COMPILED = ("compile", "torchao")


@dataclass(frozen=True)
class Measure:
    """A measure: its module and summary, and the workloads, runtimes and devices that it fits."""

    module: str
    summary: str
    workloads: tuple[type[Workload], ...] = (Forward, TrainStep, Generate)
    runtimes: tuple[str, ...] | None = None
    """those that it says something of; None: all"""
    devices: tuple[str, ...] = ("cpu", "cuda", "mps")

    def fits(self, case: Case) -> bool:
        """Return whether the measure applies to a case."""
        runtime = Deployment.parse(case.deployment).runtime
        return (
            isinstance(case.workload, self.workloads)
            and case.device.partition(":")[0] in self.devices
            and (self.runtimes is None or runtime in self.runtimes)
        )


FIRST = "parity"
"""It decides whether there is anything to measure: correct or no number."""

MEASURES: Mapping[str, Measure] = {
    FIRST: Measure("bench.measures.parity", "outputs beside those of eager fp32"),
    "latency": Measure("bench.measures.latency", "seconds of a call: median and percentiles"),
    "parts": Measure("bench.measures.parts", "forward, backward and optimizer", (TrainStep,)),
    "generation": Measure(
        "bench.measures.generation", "time to the first token, and of each further", (Generate,)
    ),
    "device_time": Measure(
        "bench.measures.device_time",
        "host and device apart, and how much of the time the device waits",
        devices=("cuda",),
    ),
    "throughput": Measure("bench.measures.throughput", "work a second, without a pause"),
    "memory": Measure("bench.measures.memory", "peak memory above that of the libraries"),
    "cold_start": Measure("bench.measures.cold_start", "import, load, first call, compile"),
    "graph": Measure(
        "bench.measures.graph",
        "graph breaks of a compiled program",
        (Forward, TrainStep),
        COMPILED,
    ),
    "work": Measure(
        "bench.measures.work",
        "FLOPs, bytes, and the machine's and its data sheet's limits for them",
    ),
    "energy": Measure("bench.measures.energy", "joules of a call, those at rest told apart"),
}
