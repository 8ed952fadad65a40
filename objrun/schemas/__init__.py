"""The four documents of Azure ML that are pictures: made from what a model said, and checked.

A confusion matrix, an accuracy table (of which ROC and precision-recall curves are drawn), a
histogram of residuals, and averages of predictions. Each is a dict as Azure ML knows it:
`schema_type`, `schema_version` and `data`. Pure; numpy is imported by what computes.

>>> from objrun import schemas
>>> document = schemas.confusion_matrix(["cat", "dog", "dog"], ["cat", "dog", "cat"])
>>> document["data"]
{'class_labels': ['cat', 'dog'], 'matrix': [[1, 0], [1, 1]]}
"""

from __future__ import annotations

from objrun.schemas.accuracy import accuracy_table
from objrun.schemas.checking import check, problems
from objrun.schemas.confusion import confusion_matrix
from objrun.schemas.regression import predictions, residuals

__all__ = [
    "accuracy_table",
    "check",
    "confusion_matrix",
    "predictions",
    "problems",
    "residuals",
]
