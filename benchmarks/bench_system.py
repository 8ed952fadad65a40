"""What samples of the system cost: time of a processor for each, and a training beside them.

python benchmarks/bench_system.py
"""

from __future__ import annotations

import time

from objrun import Experiment, Workspace
from objrun.runs.system import Machine

SAMPLES = 300
EVERY = 15.0


def main() -> None:
    """Measure, and print."""
    machine = Machine()
    began, at = time.process_time(), time.perf_counter()
    samples = [machine.read() for _ in range(SAMPLES)]
    processor = (time.process_time() - began) / SAMPLES
    wall = (time.perf_counter() - at) / SAMPLES
    run = Experiment(Workspace("memory://bench"), "system").start_logging()
    began = time.process_time()
    for values in samples:
        run.log_system(values)
    logging = (time.process_time() - began) / SAMPLES
    run.complete()
    share = 100 * (processor + logging) / EVERY
    print(f"{len(samples[0])} metrics: a sample takes {wall * 1e3:.2f} ms, of a processor")
    print(f"{processor * 1e3:.2f} ms to read and {logging * 1e3:.3f} ms to log")
    print(f"every {EVERY:.0f} s: {share:.4f} % of one processor")
    pairs = [(trained(None), trained(0.1)) for _ in range(5)]
    plain, beside = map(min, zip(*pairs, strict=True))
    print(f"a loop of Python beside samples every 0.1 s: {beside / plain:.3f} of its time without")


def trained(every: float | None) -> float:
    """Return how long a loop takes."""
    with Experiment(Workspace("memory://bench"), "system").start_logging() as run:
        run.sample_system(every)
        began = time.perf_counter()
        total = 0.0
        for number in range(5_000_000):
            total += number * 0.5
        return time.perf_counter() - began


if __name__ == "__main__":
    main()
