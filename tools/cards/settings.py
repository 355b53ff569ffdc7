"""Where speed was measured: on which machine, with how much of it, on what work."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoo.store.evidence import Fact


@dataclass(frozen=True)
class TimingSetting:
    """The machine, the device, the threads and the workload of a timing; texts of JSON, so that
    settings can be compared and be keys."""

    machine: str
    device: str | None
    threads: int | None
    workload: str

    @staticmethod
    def of(fact: Fact) -> "TimingSetting":
        """Return the setting in which a fact was measured."""
        machine, work = (as_json(part or {}) for part in (fact.machine, fact.workload))
        return TimingSetting(machine, fact.device, fact.threads, work)

    @property
    def title(self) -> str:
        """Return the workload, the threads and the device of a setting in words."""
        threads = f"{self.threads} thread{'s' * (self.threads != 1)}" if self.threads else None
        work = ", ".join(f"{name} {size}" for name, size in json.loads(self.workload).items())
        on = self.device if self.device != "cpu" else None
        return ", ".join(part for part in (work, threads, on) if part)


def machine_name(machine: Mapping[str, Any]) -> str:
    """A machine by what decides its speed."""
    cores = _number(machine.get("cores"))
    parts = (
        str(machine.get("gpu") or ""),
        str(machine.get("cpu") or "a machine without a name"),
        f"{cores:g} core{'s' * (cores != 1)}" if cores else "",
    )
    return ", ".join(part for part in parts if part)


def machine_details(machine: Mapping[str, Any]) -> str:
    """Return what is known of a machine besides its name: memory, instruction set, system."""
    memory, isa = _number(machine.get("memory_bytes")), machine.get("isa")
    parts = (
        f"{memory / 1e9:.0f} GB of memory" if memory else "",
        str(machine.get("os") or ""),
        str(machine.get("arch") or ""),
        ", ".join(map(str, isa)) if isinstance(isa, list | tuple) else "",
    )
    return ", ".join(part for part in parts if part)


def _number(said: Any) -> float | None:
    """A number of a record that anybody may have written; None where it is none."""
    return said if isinstance(said, int | float) and not isinstance(said, bool) else None


def as_json(value: Any) -> str:
    """Return a value as JSON with sorted keys, which can be compared and be a key of a mapping."""
    return json.dumps(value, sort_keys=True, default=dict)
