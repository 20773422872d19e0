"""What a table that somebody wrote may hold, told where it holds something else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

from tasks.known_names import names_like


class UnknownField(NamedTuple):
    """A field, and those that its table may have."""

    name: str
    known: tuple[str, ...]


def explain(error: msgspec.ValidationError, facts: Any, kind: Any) -> str:
    """What msgspec says of `facts` that are no `kind`; of a field that is not known also which one is nearest, and all
    that its table may have."""
    unknown = next(unknown_fields(facts, inspect.type_info(kind)), None) if "unknown field" in str(error) else None
    return f"{error}; {names_like(*unknown)}" if unknown else str(error)


def unknown_fields(value: Any, kind: inspect.Type) -> Iterator[UnknownField]:
    """In the order in which msgspec meets them."""
    match value, kind:
        case _, inspect.Metadata():
            yield from unknown_fields(value, kind.type)
        case _, inspect.UnionType():
            for each in meant(value, kind):
                yield from unknown_fields(value, each)
        case Mapping(), inspect.StructType():
            yield from unknown_in_table(value, kind)
        case Mapping(), inspect.DictType():
            for item in value.values():
                yield from unknown_fields(item, kind.value_type)
        case list() | tuple(), inspect.ListType() | inspect.VarTupleType():
            for item in value:
                yield from unknown_fields(item, kind.item_type)
        case list() | tuple(), inspect.TupleType():
            # Of another length msgspec says that, and no field.
            for item, each in zip(value, kind.item_types, strict=False):
                yield from unknown_fields(item, each)


def unknown_in_table(table: Mapping[str, Any], kind: inspect.StructType) -> Iterator[UnknownField]:
    fields = {field.encode_name: field.type for field in kind.fields}
    for name, item in table.items():
        if name in fields:
            yield from unknown_fields(item, fields[name])
        elif name != kind.tag_field and kind.forbid_unknown_fields:
            yield UnknownField(name, tuple(fields))


def meant(value: Any, union: inspect.UnionType) -> Iterator[inspect.Type]:
    """What a value of a union can be meant as: of several kinds of tables that which it says itself."""
    tables = [each for each in union.types if isinstance(each, inspect.StructType)]
    if len(tables) > 1 and isinstance(value, Mapping):
        yield from (each for each in tables if value.get(str(each.tag_field)) == each.tag)
    else:
        yield from union.types
