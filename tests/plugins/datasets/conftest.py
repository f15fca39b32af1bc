"""Small Parquet files and archives, written by the test; and the real data, where it is."""

import io
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet


def encode(pixels: np.ndarray | Image.Image, format: str = "PNG", **options: Any) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


@pytest.fixture
def encoded() -> Callable[..., bytes]:
    return encode


@pytest.fixture
def write_rows() -> Callable[..., None]:
    """Write a Parquet file in the hub's layout."""

    def write(
        path: Path,
        images: Sequence[bytes | None],
        labels: Sequence[Any],
        names: Sequence[str] | None = None,
        columns: tuple[str, str] = ("image", "label"),
        beside: Sequence[str] | None = None,
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        cells = [{"bytes": data, "path": f"{index}.png"} for index, data in enumerate(images)]
        kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
        arrays = {columns[0]: pyarrow.array(cells, kind), columns[1]: pyarrow.array(labels)}
        if beside is not None:
            arrays[f"{columns[1]}_name"] = pyarrow.array(beside)
        table = pyarrow.table(arrays)
        if names is not None:
            features = {columns[1]: {"names": list(names), "_type": "ClassLabel"}}
            table = table.replace_schema_metadata(
                {"huggingface": json.dumps({"info": {"features": features}})}
            )
        parquet.write_table(table, path)

    return write


@pytest.fixture
def pixels() -> np.ndarray:
    """Eight different images, uint8 (8, 6, 5, 3): height 6, width 5."""
    return np.random.default_rng(0).integers(0, 256, (8, 6, 5, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def real_data() -> Path:
    root = os.environ.get("HARNESS_DATA")
    if not root:
        pytest.skip("HARNESS_DATA is not set: no real data")
    return Path(root)
