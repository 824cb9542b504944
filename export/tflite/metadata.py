"""Metadata in a .tflite file: what it takes and answers, for clients that read that.

A file's metadata are a flatbuffer of their own (`metadata_schema.fbs` of TensorFlow Lite,
identifier `M001`) in a buffer that the model lists under the name `TFLITE_METADATA`. The files that
they name, such as a vocabulary, are a ZIP archive, stored and not compressed, behind the model's
flatbuffer. Interpreters look at neither.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any

import flatbuffers
import numpy as np
from flatbuffers import encode, number_types, packer, table

from keras_rnn_zoo.errors import RunError
from keras_rnn_zoo.export.tflite import flatbuffer as fb

NAME = b"TFLITE_METADATA"
IDENTIFIER = b"M001"
# Numbers of the schema: kinds of files, and of what a union holds.
DESCRIPTIONS, AXIS_LABELS, VOCABULARY = 1, 2, 5
FEATURE_PROPERTIES, REGEX_TOKENIZER = 1, 6

# Table of the schema -> its fields, in the order of their numbers, and what each is: "string",
# "byte", a table, or a list of one of these. A union is a number and a table: a field ending in
# "_type", and one of the same name. Fields of a type that is not listed here are None.
_STRING, _BYTE = "string", "byte"
_FILES = ["AssociatedFile"]
_TABLES: dict[str, dict[str, Any]] = {
    "AssociatedFile": {
        "name": _STRING,
        "description": _STRING,
        "type": _BYTE,
        "locale": _STRING,
        "version": _STRING,
    },
    "FeatureProperties": {},
    "Content": {
        "content_properties_type": _BYTE,
        "content_properties": {FEATURE_PROPERTIES: "FeatureProperties"},
        "range": None,
    },
    "RegexTokenizerOptions": {"delim_regex_pattern": _STRING, "vocab_file": _FILES},
    "ProcessUnit": {"options_type": _BYTE, "options": {REGEX_TOKENIZER: "RegexTokenizerOptions"}},
    "TensorMetadata": {
        "name": _STRING,
        "description": _STRING,
        "dimension_names": [_STRING],
        "content": "Content",
        "process_units": ["ProcessUnit"],
        "stats": None,
        "associated_files": _FILES,
    },
    "SubGraphMetadata": {
        "name": _STRING,
        "description": _STRING,
        "input_tensor_metadata": ["TensorMetadata"],
        "output_tensor_metadata": ["TensorMetadata"],
        "associated_files": _FILES,
    },
    "ModelMetadata": {
        "name": _STRING,
        "description": _STRING,
        "version": _STRING,
        "subgraph_metadata": ["SubGraphMetadata"],
        "author": _STRING,
        "license": _STRING,
        "associated_files": _FILES,
        "min_parser_version": _STRING,
    },
}


def with_metadata(content: bytes, metadata: Mapping[str, Any], files: Mapping[str, bytes]) -> bytes:
    """Returns a .tflite file with metadata, which replace those that it may have.

    Args:
        content: A .tflite file.
        metadata: A `ModelMetadata` of the schema: field -> value; a table is a dict, too.
        files: Name -> content of the files that the metadata name.
    """
    model = fb.unpack(content)
    model.metadata = [entry for entry in model.metadata or () if entry.name != NAME]
    entry = fb.schema.MetadataT()
    entry.name = NAME
    entry.buffer = fb.add_buffer(model, np.frombuffer(_packed(metadata), np.uint8))
    model.metadata.append(entry)
    stream = io.BytesIO()
    stream.write(fb.pack(model))
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            # The date of `ZipInfo` is always the same, and so is the file.
            archive.writestr(zipfile.ZipInfo(name), data)
    return stream.getvalue()


def metadata_of(content: bytes) -> tuple[dict[str, Any], dict[str, bytes]] | None:
    """Returns the metadata of a .tflite file and the files that come with them, by name.

    Args:
        content: A .tflite file.

    Returns:
        What `with_metadata` takes; None where the file has none.

    Raises:
        RunError: They are damaged.
    """
    try:
        model = fb.schema.Model.GetRootAs(content, 0)
        entries = map(model.Metadata, range(model.MetadataLength()))
        found = next((entry for entry in entries if entry.Name() == NAME), None)
        if found is None:
            return None
        data = model.Buffers(found.Buffer()).DataAsNumpy().tobytes()
        root = encode.Get(packer.uoffset, data, 0)
        values = _unpacked("ModelMetadata", table.Table(data, root), len(data))
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return values, {name: archive.read(name) for name in archive.namelist()}
    except Exception as error:  # it fails in whatever way its bytes say
        raise RunError(
            "The metadata of the file are damaged. Take a complete copy, or export it again."
        ) from error


def _packed(metadata: Mapping[str, Any]) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(_table(builder, "ModelMetadata", metadata), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def _table(builder: Any, name: str, values: Mapping[str, Any]) -> int:
    """Writes a table, what it refers to first; returns its offset."""
    fields = _TABLES[name]
    unknown = set(values) - set(fields)
    if unknown:
        raise ValueError(f"{name} has no {sorted(unknown)}")
    offsets = {
        field: _item(builder, _kind(fields[field], field, values), value)
        for field, value in values.items()
        if fields[field] != _BYTE
    }
    builder.StartObject(len(fields))
    for slot, field in enumerate(fields):
        if field in offsets:
            builder.PrependUOffsetTRelativeSlot(slot, offsets[field], 0)
        elif field in values:
            builder.PrependInt8Slot(slot, values[field], 0)
    return int(builder.EndObject())


def _kind(kind: Any, field: str, values: Mapping[str, Any]) -> Any:
    """Of a union, the table that it holds; None where that is none of those listed."""
    return kind.get(values.get(f"{field}_type")) if isinstance(kind, dict) else kind


def _item(builder: Any, kind: Any, value: Any) -> int:
    if kind == _STRING:
        return int(builder.CreateString(value))
    if not isinstance(kind, list):
        return _table(builder, kind, value)
    offsets = [_item(builder, kind[0], one) for one in value]
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _unpacked(name: str, source: table.Table, left: int) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for slot, (field, kind) in enumerate(_TABLES[name].items()):
        offset = source.Offset(4 + 2 * slot)
        if not offset:
            continue
        place = offset + source.Pos
        if kind == _BYTE:
            values[field] = source.Get(number_types.Int8Flags, place)
        elif (known := _kind(kind, field, values)) is not None:
            values[field] = _read(source, known, place, left)
    return values


def _read(source: table.Table, kind: Any, place: int, left: int) -> Any:
    if kind == _STRING:
        return source.String(place).decode("utf-8")
    if not isinstance(kind, list):
        return _unpacked(kind, table.Table(source.Bytes, source.Indirect(place)), left)
    start = source.Vector(place - source.Pos)
    length = source.VectorLen(place - source.Pos)
    if length > left:
        raise ValueError("more items than bytes")
    return [_read(source, kind[0], start + 4 * i, left) for i in range(length)]
