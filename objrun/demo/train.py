"""One child of the demo: train a model on real data in this process, and log it to the store.

`python -m objrun.demo.train --url URL --parent RUN --child NUMBER --epochs COUNT`; storage options
come as JSON in OBJRUN_STORAGE_OPTIONS, because the list of processes is readable by everyone.
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
from typing import TYPE_CHECKING, Any

from objrun.demo.grid import parameters, title
from objrun.run import Run
from objrun.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the child that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m objrun.demo.train")
    parser.add_argument("--url", required=True)
    parser.add_argument("--parent", required=True)
    parser.add_argument("--child", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    given = parser.parse_args(arguments)
    options = json.loads(os.environ.get("OBJRUN_STORAGE_OPTIONS") or "{}")
    parent = Run.get(Workspace(given.url, options), given.parent)
    params = parameters(given.child)
    with parent.child_run(title(params)) as run:
        train(run, params, given.epochs)


def train(run: Run, params: dict[str, Any], epochs: int) -> None:
    """Train for so many epochs; log loss and accuracy of each, and the confusion matrix at the end.

    The data are the 1797 digits of 8 x 8 pixels that scikit-learn brings along; one in five is
    kept for validation.
    """
    from sklearn.datasets import load_digits
    from sklearn.metrics import confusion_matrix, log_loss
    from sklearn.model_selection import train_test_split

    run.log_params({**params, "epochs": epochs})
    run.set_tags({"model": params["model"], "data": "digits"})
    images, labels = load_digits(return_X_y=True)
    split = train_test_split(images / 16, labels, test_size=0.2, random_state=0, stratify=labels)
    train_x, test_x, train_y, test_y = split
    run.add_properties({"data": f"sklearn digits, {len(train_x)} train + {len(test_x)} test"})
    classes = list(range(10))
    model = _model(params)
    for epoch in range(epochs):
        # One pass at a time: the warning about too few passes is beside the point.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.partial_fit(train_x, train_y, classes=classes)
        run.log_metrics(
            {
                "accuracy": model.score(test_x, test_y),
                "loss": log_loss(test_y, model.predict_proba(test_x), labels=classes),
                "train_accuracy": model.score(train_x, train_y),
            },
            step=epoch,
        )
    matrix = confusion_matrix(test_y, model.predict(test_x), labels=classes)
    columns = {f"as_{digit}": matrix[:, digit].tolist() for digit in classes}
    run.log_table("confusion", {"digit": classes, **columns})


def _model(params: dict[str, Any]) -> Any:
    from sklearn.linear_model import SGDClassifier
    from sklearn.neural_network import MLPClassifier

    seed = params["seed"]
    if params["model"] == "sgd":
        return SGDClassifier(
            loss="log_loss", learning_rate="constant", eta0=params["lr"], random_state=seed
        )
    return MLPClassifier(
        (params["hidden"],), learning_rate_init=params["lr"], batch_size=64, random_state=seed
    )


if __name__ == "__main__":
    main()
