"""Classes as feedback names them: by name or by index."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.errors import BadInput

MAX_LISTED = 20


class ClassNames:
    """Of one model version."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self._ids = {label: class_id for class_id, label in reversed(list(enumerate(labels)))}

    def find(self, told: str | int) -> int:
        """The index of a class. A text is always a name, a number always an index. Raises BadInput."""
        if isinstance(told, int):
            if told >= len(self.labels):
                raise BadInput(f"there is no class {told}; the model has classes 0 to {len(self.labels) - 1}")
            return told
        class_id = self._ids.get(told)
        if class_id is None:
            listed = ", ".join(self.labels[:MAX_LISTED]) + (", …" if len(self.labels) > MAX_LISTED else "")
            raise BadInput(f"there is no class {told[:100]!r}; the model has {listed}")
        return class_id
