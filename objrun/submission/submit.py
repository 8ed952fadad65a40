"""Submit a run: snapshot, a run that is Queued, and a job for its target."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any, Final

from objrun.errors import UserErrorException
from objrun.format.names import check_run_id
from objrun.format.shared import SNAPSHOT
from objrun.protocol.heartbeat import ATTENDED
from objrun.run import Run
from objrun.runs.jobs import COMMAND, DEFINITION, SCRIPT_RUN, TARGET
from objrun.runs.source import folders_of
from objrun.runs.start import Start, tag_texts
from objrun.secret import redact_command
from objrun.snapshots.packing import keep, pack
from objrun.submission.config import ScriptRunConfig
from objrun.submission.job import Job
from objrun.submission.targets import target_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from objrun.experiment import Experiment
    from objrun.format.states import RunState

MOST_COMMAND: Final = 1000
"""Characters of a command line that are kept as a property."""


def submit(
    experiment: Experiment,
    config: Any,
    tags: Mapping[str, Any] | None = None,
    parent: RunState | None = None,
    *,
    run_id: str | None = None,
    display_name: str | None = None,
) -> Run:
    """Submit a run and return it at once; see `Experiment.submit`."""
    if not isinstance(config, ScriptRunConfig):
        message = f"a ScriptRunConfig is submitted, not {type(config).__name__}"
        raise UserErrorException(message)
    config.check()
    workspace = experiment.workspace
    if workspace.url.startswith("memory:"):
        message = "a store in memory is seen by no other process: nothing can be submitted to it"
        raise UserErrorException(message)
    target = target_of(config.compute_target)
    line, python = config.line(), config.interpreter()
    with pack(config.source_directory, folders_of(workspace)) as packed:
        keep(workspace.writing(), packed)
    start = Start(
        run_id=run_id,
        display_name=display_name,
        type=SCRIPT_RUN,
        status="Queued",
        parent=parent,
        name=f"{parent.name}>" if parent else None,
        tags=tag_texts(tags),
        properties={
            SNAPSHOT: packed.digest,
            TARGET: target.name,
            **({ATTENDED: "yes"} if getattr(target, "is_attended", False) else {}),
            DEFINITION: json.dumps(_definition(config, target.name, python)),
            COMMAND: shlex.join(redact_command(line))[:MOST_COMMAND],
        },
    )
    run = _queued(experiment, start)
    job = Job(
        url=workspace.url,
        storage_options=workspace.storage_options,
        run_id=run.id,
        snapshot=packed.digest,
        command=line,
        python=python,
        limit=config.max_run_duration_seconds,
    )
    try:
        target.launch(job)
    except BaseException as error:
        run.fail(error if isinstance(error, Exception) else None, "NotLaunched")
        raise
    return run


def _queued(experiment: Experiment, start: Start) -> Run:
    """Create a run that some launcher is to begin: in its store, or not at all."""
    if start.run_id is not None:
        check_run_id(start.run_id)
    version = experiment.first_version(start)
    experiment.create_run(version, is_new=start.run_id is None)
    return Run.of_version(experiment, version)


def _definition(config: ScriptRunConfig, target: str, python: str | None) -> dict[str, Any]:
    """Return what `get_details()["runDefinition"]` says, without secrets."""
    line = redact_command(config.line())
    return {
        "script": config.script,
        "arguments": line[2:] if config.script else [],
        "command": "" if config.script else shlex.join(line),
        "target": target,
        "environment": python,
        "maxRunDurationSeconds": config.max_run_duration_seconds,
    }
