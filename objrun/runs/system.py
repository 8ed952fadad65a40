"""What a machine and this process use, sampled now and then: CPUs, memory, disk, network, GPUs.

Read by psutil, and GPUs by NVML where there is one. A sample takes about a millisecond.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final, Protocol

from objrun import clock
from objrun.errors import UserErrorException
from objrun.logs import logger

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MB: Final = 1e6
"""Bytes of a megabyte, as drives and networks count it."""

_LAST: Final = 1.0
"""Seconds since the last sample from which there is another one at the end."""


class Logs(Protocol):
    """Where samples go."""

    def log_system(self, values: Mapping[str, float]) -> None:
        """Log a sample."""


class Machine:
    """The readings of this machine: `read` gives what was used since the last time.

    >>> sorted(Machine().read())[:2]
    ['system/cpu_percent', 'system/disk_percent']
    """

    def __init__(self) -> None:
        """Begin to count; UserErrorException where psutil is not installed."""
        try:
            import psutil
        except ImportError:
            message = "samples of the system need psutil: pip install 'objrun[system]'"
            raise UserErrorException(message) from None
        self._psutil: Any = psutil
        self._process = psutil.Process()
        self._gpus = [*_gpus()]
        self._at = clock.monotonic()
        self._counted = self._counters()
        self._times = psutil.cpu_times()
        # What it gives first is nothing: it tells of the time since it was asked last.
        self._process.cpu_percent()

    def read(self) -> dict[str, float]:
        """Return percents, megabytes, and megabytes a second, by names of metrics."""
        memory = self._psutil.virtual_memory()
        found = {
            "cpu_percent": self._cpu_percent(),
            "memory_percent": memory.percent,
            "memory_mb": (memory.total - memory.available) / MB,
            "disk_percent": self._psutil.disk_usage(os.sep).percent,
            "process_cpu_percent": self._process.cpu_percent(),
            "process_rss_mb": self._process.memory_info().rss / MB,
            **self._rates(),
        }
        for number, gpu in enumerate(self._gpus):
            found |= {f"gpu_{number}_{name}": value for name, value in _used(gpu).items()}
        return {f"system/{name}": value for name, value in found.items()}

    def _cpu_percent(self) -> float:
        """Return what psutil's own would, which counts for each thread apart."""
        before, self._times = self._times, self._psutil.cpu_times()
        # Times may go back a little; those of guests are in others.
        spent = {
            name: max(0.0, getattr(self._times, name) - getattr(before, name))
            for name in before._fields
            if not name.startswith("guest")
        }
        every = sum(spent.values())
        busy = every - spent["idle"] - spent.get("iowait", 0.0)
        return round(100 * busy / every, 1) if every else 0.0

    def _rates(self) -> dict[str, float]:
        before, at = self._counted, self._at
        self._counted, self._at = self._counters(), clock.monotonic()
        seconds = max(self._at - at, 1e-3)
        return {
            f"{name}_mb_per_s": max(0, value - before.get(name, value)) / MB / seconds
            for name, value in self._counted.items()
        }

    def _counters(self) -> dict[str, int]:
        """Return bytes read and written so far; without what a container does not tell."""
        found: dict[str, int] = {}
        if disk := self._psutil.disk_io_counters():
            found |= {"disk_read": disk.read_bytes, "disk_write": disk.write_bytes}
        if network := self._psutil.net_io_counters():
            found |= {
                "network_received": network.bytes_recv,
                "network_sent": network.bytes_sent,
            }
        return found


def _gpus() -> Iterator[Any]:
    """Yield handles of GPUs, none where there is no NVML."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # noqa: BLE001 - without a driver it raises what it likes
        return
    for number in range(pynvml.nvmlDeviceGetCount()):
        yield pynvml.nvmlDeviceGetHandleByIndex(number)


def _used(gpu: Any) -> dict[str, float]:
    import pynvml

    found: dict[str, float] = {}
    try:
        memory = pynvml.nvmlDeviceGetMemoryInfo(gpu)
        found["memory_mb"] = memory.used / MB
        found["memory_percent"] = 100 * memory.used / memory.total
        found["percent"] = float(pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu)
        found["power_watts"] = pynvml.nvmlDeviceGetPowerUsage(gpu) / 1000
    except pynvml.NVMLError:
        pass  # some do not tell all of it
    return found


class Sampler:
    """Samples the machine every so many seconds, and once more at the end.

    Its thread keeps neither the process alive nor the run. A forked child samples nothing.
    """

    def __init__(self, run: Logs, every: float) -> None:
        """Begin with `start`."""
        self._run = weakref.ref(run)
        self._every = every
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._sampled = clock.monotonic()
        self._machine: Machine | None = None

    def start(self) -> None:
        """Start the thread; UserErrorException where psutil is not installed."""
        self._machine = Machine()
        threading.Thread(target=self._work, name="objrun-system", daemon=True).start()

    def stop(self) -> None:
        """Take a last sample, and no more after it. Waits for a sample that is being taken."""
        if os.getpid() != self._process or self._stop.is_set():
            return
        self._stop.set()
        if self._lock.acquire(timeout=_LAST):
            try:
                if clock.monotonic() - self._sampled >= _LAST:
                    self._sample()
            finally:
                self._lock.release()

    def _work(self) -> None:
        while not self._stop.wait(self._every):
            with self._lock:
                if self._stop.is_set() or not self._sample():
                    return

    def _sample(self) -> bool:
        """Log a sample; False where the run is gone or sampling has failed."""
        run, machine = self._run(), self._machine
        if run is None or machine is None:
            return False
        try:
            run.log_system(machine.read())
        except Exception as error:  # noqa: BLE001 - the top of a thread is an edge
            logger().warning("the system is sampled no more: %r", error)
            return False
        self._sampled = clock.monotonic()
        return True
