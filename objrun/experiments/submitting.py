"""The part of `Experiment` that submits runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

    from objrun.experiment import Experiment
    from objrun.run import Run


class Submitting:
    """Has scripts started elsewhere than in this process."""

    def submit(
        self,
        config: Any,
        tags: Mapping[str, Any] | None = None,
        *,
        run_id: str | None = None,
        display_name: str | None = None,
        show_output: bool = False,
        **kwargs: Any,  # noqa: ARG002 - of the reference
    ) -> Run:
        """Start what a `ScriptRunConfig` says in a process of its own, and return its run at once.

        A snapshot of the source directory is taken (see `Run.take_snapshot`) and unpacked into a
        work folder, where the script runs; `Run.get_context()` in it is this run. The run is
        Queued, Starting, Running, Finalizing, and then Completed, Failed or Canceled; what it
        prints is its file `logs/std_log.txt` while it works, and what it leaves in the folders
        `outputs` and `logs` becomes files of the run. This process may end meanwhile.

        `show_output`: wait for it, and show what it prints. Other arguments are accepted and mean
        nothing. Raises ExperimentExecutionException where the folder or script is missing or no
        launcher starts, and UserErrorException for a store in memory, which no other process sees.
        """
        from objrun.submission.submit import submit

        experiment = cast("Experiment", self)
        run = submit(experiment, config, tags, run_id=run_id, display_name=display_name)
        if show_output:
            run.wait_for_completion(show_output=True)
        return run
