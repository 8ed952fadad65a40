"""Samples of the system among the metrics of a run: off unless they are asked for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from objrun import clock
from objrun.errors import UserErrorException
from objrun.logs import logger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from objrun.runs.system import Sampler

SWITCH: Final = "OBJRUN_SYSTEM_METRICS"
"""The environment variable that says every how many seconds; `off` and 0 are never."""

_OFF: Final = ("", "0", "off", "false", "no")
_LEAST: Final = 0.1


class RunSampling:
    """The part of `Run` that samples the system."""

    _sampler: Sampler | None = None

    def sample_system(self, every: float | None = 15.0) -> None:
        """Log what the machine and this process use, every so many seconds, until the run ends.

        Metrics are `system/cpu_percent`, `memory_percent`, `memory_mb`, `disk_percent`,
        `disk_read_mb_per_s`, `disk_write_mb_per_s`, `network_received_mb_per_s`,
        `network_sent_mb_per_s`, `process_cpu_percent`, `process_rss_mb`, and of each GPU
        `gpu_0_percent`, `gpu_0_memory_percent`, `gpu_0_memory_mb` and `gpu_0_power_watts`. Their
        step is the seconds since the run began. None: no more. `OBJRUN_SYSTEM_METRICS=15` does the
        same for all runs that a process begins.

        Raises UserErrorException for less than 0.1 seconds, and without psutil (`pip install
        'objrun[system]'`).

        >>> run.sample_system(every=60)
        """
        from objrun.runs.system import Sampler

        if every is not None and not every >= _LEAST:
            message = f"the system is sampled every {_LEAST} seconds or more, not every {every!r}"
            raise UserErrorException(message)
        self.stop_sampling()
        if every is not None:
            sampler = Sampler(self, every)
            sampler.start()
            self._sampler = sampler

    def sample_as_asked(self) -> None:
        """Sample as the environment says; what is wrong with that is logged."""
        told = os.environ.get(SWITCH, "")
        if told.lower() in _OFF:
            return
        try:
            self.sample_system(float(told))
        except ValueError as error:  # of float; UserErrorException is one, too
            logger().warning("the system is not sampled, as %s=%s asks: %s", SWITCH, told, error)

    def stop_sampling(self) -> None:
        """Take the last sample, if any was to be taken."""
        if self._sampler is not None:
            sampler, self._sampler = self._sampler, None
            sampler.stop()

    def log_system(self, values: Mapping[str, float]) -> None:
        """Log a sample at the seconds since the run began."""
        run: Any = self
        state = run.state
        since = clock.now() - (state.started or state.created)
        run.log_metrics(values, step=int(since.total_seconds()))
