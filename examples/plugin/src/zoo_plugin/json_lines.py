"""A kind of data file: a JSON object with a text and a label in each line."""

import json

from keras_rnn_zoo.data import DATASETS, Dataset, Reader, Split
from keras_rnn_zoo.errors import DataError


class JsonLines(Reader):
    """Reads texts and labels from JSON lines (https://jsonlines.org)."""

    name = "json_lines"
    description = "Your texts: a .jsonl file, each line an object with a text and a label."
    suffixes = (".jsonl",)

    def load(self, path, *, text_column, label_column):
        """Reads texts and labels; see `load_data`."""
        rows = list(_rows(path, text_column, label_column))
        texts, labels = [text for text, _ in rows], [label for _, label in rows]
        return Dataset(path.name, "text", Split(texts, labels))

    def load_inputs(self, path, *, text_column):
        """Reads texts."""
        return [text for (text,) in _rows(path, text_column)]


def _rows(path, *columns):
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8. Save it as UTF-8.") from None
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            yield [str(row[column]) for column in columns]
        except (ValueError, KeyError, TypeError):
            wanted = " and ".join(map(repr, columns))
            raise DataError(f"{path}, line {number}: no JSON object with {wanted}.") from None


DATASETS.register(JsonLines.name, JsonLines())
