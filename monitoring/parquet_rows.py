"""Rows of captured requests in Parquet files: the only file that imports pyarrow."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import pyarrow
from pyarrow import parquet

from monitoring.captured import CapturedRow, TruthRow
from tasks.errors import BadInput

COMPRESSION = "zstd"
COLUMN_TYPES = {
    "str": pyarrow.string(),
    "int": pyarrow.int32(),
    "datetime": pyarrow.timestamp("us", tz="UTC"),
}
Row = TypeVar("Row", CapturedRow, TruthRow)


def schema_of(kind: type[CapturedRow] | type[TruthRow]) -> Any:
    """One column for each field, none of which may be missing."""
    return pyarrow.schema(
        [pyarrow.field(one.name, COLUMN_TYPES[str(one.type)], nullable=False) for one in fields(kind)]
    )


def write_rows(path: Path, rows: Sequence[CapturedRow] | Sequence[TruthRow]) -> None:
    """One file, on the disk when this returns. `rows`: one or more of one kind. Raises OSError."""
    schema = schema_of(type(rows[0]))
    columns = [pyarrow.array([getattr(row, one.name) for row in rows], one.type) for one in schema]
    with path.open("wb") as file:
        # Least and greatest texts of each column would only make small files larger.
        parquet.write_table(
            pyarrow.table(columns, schema=schema), file, compression=COMPRESSION, write_statistics=False
        )
        file.flush()
        os.fsync(file.fileno())


def read_rows(path: Path, kind: type[Row]) -> list[Row]:
    """All of one file. Columns that a later version added are left alone. Raises BadInput for a file that is damaged
    or lacks a column, FileNotFoundError for one that is gone."""
    names = [one.name for one in fields(kind)]
    try:
        with path.open("rb") as file:
            found = parquet.read_table(file, columns=names).to_pylist()
        return [kind(**row) for row in found]
    except (pyarrow.ArrowException, TypeError) as error:
        raise BadInput(
            f"{path} does not hold captured requests ({error}); expected Parquet with the columns {', '.join(names)}: "
            "remove the file"
        ) from error
