"""What is known of a run before it exists: names, tags and properties, as text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from objrun import clock
from objrun.errors import UserErrorException
from objrun.format.names import check_key
from objrun.format.states import RunState
from objrun.provenance.facts import start_properties
from objrun.values.conversion import to_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from objrun.runs.outputs import Outputs


@dataclass(frozen=True, kw_only=True)
class Start:
    """What is known of a run before it exists."""

    name: str | None = None
    run_id: str | None = None
    display_name: str | None = None
    description: str | None = None
    type: str | None = None
    status: str = "Running"
    parent: RunState | None = None
    tags: Mapping[str, str | None] = field(default_factory=dict)
    properties: Mapping[str, str | None] = field(default_factory=dict)
    outputs: Outputs | None = None

    def state(self, experiment: str, run_id: str, number: int) -> RunState:
        """Return the first state of the run in an experiment."""
        now = clock.now()
        parent = self.parent
        return RunState(
            run_id=run_id,
            experiment=experiment,
            number=number,
            root_run_id=parent.root_run_id if parent else run_id,
            parent_run_id=parent.run_id if parent else None,
            name=self.name or f"run_{run_id}",
            display_name=self.display_name or self.name or f"{experiment}_{number}",
            description=self.description,
            type=self.type,
            status=self.status,
            created=now,
            started=now if self.status == "Running" else None,
            tags=self.tags,
            properties={**start_properties(), **self.properties},
        )


def children_tags(
    count: int | None, key: str | None, values: Iterable[Any] | None, *, most: int
) -> list[dict[str, str | None]]:
    """Return the tags of each child that `create_children` makes; UserErrorException if unclear."""
    if (count is None) == (key is None and values is None) or (key is None) != (values is None):
        message = "create_children takes either count, or tag_key with tag_values"
        raise UserErrorException(message)
    if values is not None and key is not None:
        tags = [{check_key(key, "tag"): to_text(value, f"tag {key!r}")} for value in values]
    elif isinstance(count, int) and count >= 0:
        tags = [{"azureml.batch_child_number": str(number)} for number in range(count)]
    else:
        message = f"count is an integer of 0 or more, not {count!r}"
        raise UserErrorException(message)
    if len(tags) > most:
        message = f"{len(tags)} children are asked for; one call makes at most {most}"
        raise UserErrorException(message)
    return tags


def tag_texts(tags: Mapping[str, Any] | str | None) -> dict[str, str | None]:
    """Return tags as text; a text is a tag without value.

    >>> tag_texts("new"), tag_texts({"n": 1})
    ({'new': None}, {'n': '1'})
    """
    return _texts({tags: None} if isinstance(tags, str) else tags, "tag")


def property_texts(properties: Mapping[str, Any] | None) -> dict[str, str | None]:
    """Return properties as text.

    >>> property_texts({"n": 1})
    {'n': '1'}
    """
    return _texts(properties, "property")


def _texts(items: Any, what: str) -> dict[str, str | None]:
    if items is None:
        return {}
    if not hasattr(items, "items"):
        message = f"a dict of {what} to value is wanted, not {type(items).__name__}"
        raise UserErrorException(message)
    return {check_key(k, what): to_text(v, f"{what} {k!r}") for k, v in items.items()}
