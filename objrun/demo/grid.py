"""What the demo trains: a model and its parameters for each child."""

from __future__ import annotations

from typing import Any, Final

EXPERIMENT: Final = "digits"
"""The experiment of the demo."""

EPOCHS: Final = 40
"""Passes over the training data."""

_GRID: Final[tuple[dict[str, Any], ...]] = (
    {"model": "mlp", "hidden": 64, "lr": 0.002},
    {"model": "sgd", "lr": 0.0005},
    {"model": "mlp", "hidden": 16, "lr": 0.001},
    {"model": "sgd", "lr": 0.00002},
    {"model": "mlp", "hidden": 128, "lr": 0.01},
    {"model": "mlp", "hidden": 32, "lr": 0.0002},
)


def parameters(child: int) -> dict[str, Any]:
    """Return the parameters of child `child`, from 0; beyond the grid it begins anew, new seed.

    >>> parameters(1), parameters(7)["seed"]
    ({'model': 'sgd', 'lr': 0.0005, 'seed': 0}, 1)
    """
    return {**_GRID[child % len(_GRID)], "seed": child // len(_GRID)}


def title(params: dict[str, Any]) -> str:
    """Return the name of a run with these parameters.

    >>> title(parameters(0)), title(parameters(1))
    ('mlp-64 lr=0.002', 'sgd lr=0.0005')
    """
    hidden = f"-{params['hidden']}" if "hidden" in params else ""
    return f"{params['model']}{hidden} lr={params['lr']:g}"
