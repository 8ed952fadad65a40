"""objrun, the experiment tracker that has no server.

Names load when first used, so that `import objrun` is light and a worker pays only for what it
calls.

>>> import objrun
>>> ws = objrun.Workspace("memory://readme")
>>> with objrun.Experiment(ws, "digits").start_logging() as run:
...     run.log("accuracy", 0.97)
>>> run.get_metrics()
{'accuracy': 0.97}
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from objrun import errors

if TYPE_CHECKING:
    from objrun.comparison import compare
    from objrun.errors import (
        ActivityFailedException,
        ModelPathNotFoundException,
        ObjrunError,
        RunEnvironmentException,
        ServiceException,
        UserErrorException,
        WebserviceException,
    )
    from objrun.experiment import Experiment
    from objrun.model import Model
    from objrun.run import Run
    from objrun.submission.config import ScriptRunConfig
    from objrun.submission.dask_target import DaskTarget
    from objrun.submission.targets import LocalTarget
    from objrun.workspace import Workspace

__version__ = VERSION = "0.1.0"

__all__ = [
    "VERSION",
    "ActivityFailedException",
    "DaskTarget",
    "Experiment",
    "LocalTarget",
    "Model",
    "ModelPathNotFoundException",
    "ObjrunError",
    "Run",
    "RunEnvironmentException",
    "ScriptRunConfig",
    "ServiceException",
    "UserErrorException",
    "WebserviceException",
    "Workspace",
    "__version__",
    "compare",
    "errors",
]

_HOMES = {
    "DaskTarget": "objrun.submission.dask_target",
    "Experiment": "objrun.experiment",
    "LocalTarget": "objrun.submission.targets",
    "Model": "objrun.model",
    "Run": "objrun.run",
    "ScriptRunConfig": "objrun.submission.config",
    "Workspace": "objrun.workspace",
    "compare": "objrun.comparison",
}


def __getattr__(name: str) -> Any:
    """Load a public name at its first use."""
    if name not in __all__:
        from objrun.elsewhere import advice

        told = advice(name)
        # Of an AttributeError `from objrun import ...` would not tell the message, and `hasattr`
        # would raise an ImportError.
        is_import = sys._getframe(1).f_code.co_name == "_handle_fromlist"  # noqa: SLF001 - no other way
        if told and is_import:
            raise ImportError(told)
        raise AttributeError(told or f"module 'objrun' has no attribute {name!r}")
    home = _HOMES.get(name)
    value = getattr(import_module(home) if home else errors, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return __all__
