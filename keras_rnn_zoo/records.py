"""What a command leaves behind, typed: read by attribute, by name, and as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

Kind = TypeVar("Kind", bound="Record")


class Record(Mapping[str, Any]):
    """What a frozen dataclass extends that is written as a JSON object.

    `record["name"]` answers like `record.name`, and `dict(record)` has all fields.
    """

    def to_dict(self) -> dict[str, Any]:
        """Returns all fields as a JSON object."""
        return {name: _plain(value) for name, value in self.items()}

    @classmethod
    def from_dict(cls: type[Kind], values: Mapping[str, Any]) -> Kind:
        """Returns what `to_dict` wrote; fields that are not known here are left out."""
        known = _names(cls)
        return cls(**{name: value for name, value in values.items() if name in known})

    def __getitem__(self, name: str) -> Any:
        if name not in _names(type(self)):
            raise KeyError(name)
        return getattr(self, name)

    def __iter__(self) -> Iterator[str]:
        return iter(_names(type(self)))

    def __len__(self) -> int:
        return len(_names(type(self)))


def _names(kind: Any) -> tuple[str, ...]:
    return tuple(one.name for one in dataclasses.fields(kind))


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value
