"""A window of load and what it cost: counters are read before and after."""

from bench.load.clients import Clients
from bench.load.generator import Job
from bench.load.service import Service, ServiceFailed
from bench.load.step import Cost, Limits, Step, of_window
from bench.measures import energy
from zoo.measure import usage


def step_of(service: Service, client: Clients, job: Job, limits: Limits) -> Step:
    """Make one window of load and return what it showed, and what it cost where the service runs
    here. Raises `ClientLost`, and `ServiceFailed` where it has ended meanwhile."""
    tree = service.tree
    joules = None if tree is None else _joules()
    cpu, power = (tree.cpu() if tree else 0.0), (joules() if joules else 0.0)
    before = usage.read()
    seen = client.run(job)
    after = usage.read()
    if (end := service.ended()) is not None:
        raise ServiceFailed(f"under load {end}")
    spent = tree.cpu() - cpu if tree else None
    foreign = None
    if spent is not None and before.busy is not None and after.busy is not None:
        own = spent + seen.cpu + after.cpu - before.cpu
        foreign = max(0.0, after.busy - before.busy - own) / (after.wall - before.wall)
    cost = Cost(spent, foreign, joules() - power if joules else None)
    return of_window(seen, limits, cost, job.rate, job.clients if job.rate is None else None)


def _joules() -> energy.Counter | None:
    try:
        return energy.counter_of("cpu")
    except energy.NoCounter:
        return None
