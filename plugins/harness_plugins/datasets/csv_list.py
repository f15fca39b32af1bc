"""Image files and their labels, listed in a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated

from annotated_types import Len, MinLen

from harness.contract import Dataset, Prepared, Split
from harness_plugins.datasets.encoded_images import EncodedImages
from harness_plugins.datasets.image_files import ImageFiles
from harness_plugins.datasets.label_numbers import number_labels
from harness_plugins.datasets.resizing import Size

Text = Annotated[str, MinLen(1)]


@dataclass(frozen=True)
class CsvList(Dataset):
    """Image files listed in a CSV file, or in one for each split: an image's path, its label, its split.

        path,label,split
        pictures/1.png,ant,train

    Cells are quoted as RFC 4180 (Shafranovich 2005) has it, text is UTF-8. Not for images that lie in a folder for
    each class: `image-folder` needs no list.

    The first row names the columns; others than those three are left alone. Paths are relative to the folder of
    the CSV file that names them and stay inside the data root. Rows keep their order. Labels are names,
    numbered by `classes` or in sorted order (whole numbers by their value).

    Image uint8 (N, 3, H, W), decoded as it is read, as `image-folder` does: upright, always RGB; all images have one
    size, or `size` says to which they are brought (resized until it is just covered, the middle cut out).

    Attributes:
        file: The CSV file, relative to the data root.
        test_file: A CSV file of the test split; None where a column of `file` names each row's split.
        path_column: Column of the paths.
        label_column: Column of the labels.
        split_column: Column of the splits, where there is no `test_file`.
        train: What stands in the split column of the training split's rows.
        test: What stands there in the test split's; rows of neither are refused.
        classes: The classes, in the order of their numbers; None takes those of the training split.
        delimiter: What stands between cells.
        size: Height and width; None asks that all images have one size.
        skip_damaged: Leave out images that are not there or cannot be decoded, for all arms alike, and list them in
            the manifest, rather than refuse the data.
    """

    file: Text
    test_file: Text | None = None
    path_column: Text = "path"
    label_column: Text = "label"
    split_column: Text = "split"
    train: Text = "train"
    test: Text = "test"
    classes: Annotated[tuple[str, ...], MinLen(2)] | None = None
    delimiter: Annotated[str, Len(1, 1)] = ","
    size: Size | None = None
    skip_damaged: bool = False

    def prepare(self, root: Path | None) -> Prepared:
        """Read the lists, and look for each file.

        Raises:
            FileNotFoundError: Where no data root is set, or a CSV file is not there, or an image, by its line.
            ValueError: Where a path leaves the data root, or a row is not as it should be, by its line.
        """
        if root is None:
            raise FileNotFoundError("csv: no data root is set; give --data or HARNESS_DATA")
        if self.test_file is None:
            rows = list(self._rows(root, self.file, self.split_column))
            for row in rows:
                if row.split not in (self.train, self.test):
                    raise ValueError(
                        f'{row.place}: the split "{row.split}" is neither "{self.train}" nor "{self.test}"'
                    )
            train, test = ([row for row in rows if row.split == name] for name in (self.train, self.test))
        else:
            train, test = (list(self._rows(root, file, None)) for file in (self.file, self.test_file))
        splits = {"train": train, "test": test}
        for name, rows in splits.items():
            if not rows:
                raise ValueError(f"{self.test_file or self.file}: no row of the {name} split")
        classes, *numbers = number_labels(
            [row.label for row in train],
            [row.label for row in test],
            self.classes,
            lambda split, row: splits[split][row].place,
        )
        parts = []
        for rows, labels in zip(splits.values(), numbers, strict=True):
            files = ImageFiles(root, [row.path for row in rows], [row.place for row in rows])
            parts.append(Split({"image": EncodedImages(files, self.size, self.skip_damaged)}, labels))
        return Prepared(parts[0], parts[1], classes)

    def _rows(self, root: Path, file: str, split_column: str | None) -> Iterator[Row]:
        if is_outside(PurePosixPath(file)):
            raise ValueError(f'csv: "{file}" does not stay inside the data root; give a path relative to it')
        place = root / file
        if not place.is_file():
            raise FileNotFoundError(f"csv: there is no file {place}")
        columns = [self.path_column, self.label_column, *([split_column] if split_column else [])]
        for line, (path, label, *split) in read_cells(place, file, columns, self.delimiter):
            where = f"{file} line {line}"
            image = place.parent / path
            if is_outside(PurePosixPath(file).parent / path):
                raise ValueError(
                    f'{where}: the path "{path}" does not stay inside the data root; give one relative to {file}'
                )
            if not self.skip_damaged and not image.is_file():
                raise FileNotFoundError(f'{where}: there is no file "{path}" beside {file}')
            yield Row(where, image, label, split[0] if split else "")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a list.

    Attributes:
        place: File and line.
        path: The image file.
        label: The class's name.
        split: The split's, where a column holds it.
    """

    place: str
    path: Path
    label: str
    split: str


def is_outside(path: PurePosixPath) -> bool:
    """Return whether a path leads out of the folder that it is relative to, by its spelling.

    Links inside the data root are the owner's own and may lead to another disk.
    """
    depth = 0
    for part in path.parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return True
    return path.is_absolute() or "\0" in str(path)


def read_cells(
    path: Path, name: str, columns: Sequence[str], delimiter: str
) -> Iterator[tuple[int, list[str]]]:
    """Yield each row's line, counted from 1, and its cells of some columns.

    Raises:
        ValueError: Where the file is no CSV file, lacks a column, or a row is empty or has other cells.
    """
    try:
        # utf-8-sig: spreadsheets write a mark at the beginning
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            header = next(reader, [])
            for column in columns:
                if header.count(column) != 1:
                    found = ", ".join(header) or "nothing"
                    raise ValueError(
                        f'{name} line 1: {header.count(column)} columns "{column}", expected one; the first row '
                        f"has to name the columns, and holds {found}"
                    )
            places = [header.index(column) for column in columns]
            begin = reader.line_num + 1
            for cells in reader:
                line, begin = begin, reader.line_num + 1
                if not any(cells):
                    raise ValueError(f"{name} line {line}: an empty row")
                if len(cells) != len(header):
                    raise ValueError(
                        f"{name} line {line}: {len(cells)} cells, the first row has {len(header)} columns"
                    )
                for column, place in zip(columns, places, strict=True):
                    if not cells[place]:
                        raise ValueError(f'{name} line {line}: no value in column "{column}"')
                yield line, [cells[place] for place in places]
    except UnicodeDecodeError as error:
        raise ValueError(f"{name}: not UTF-8 text ({error})") from error
    except csv.Error as error:
        raise ValueError(f"{name} line {reader.line_num}: {error}") from error
