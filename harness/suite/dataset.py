"""A dataset's plugin, built and asked for its data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.contract import Dataset, Prepared, Split
from harness.errors import DataError, HarnessError, PluginError

if TYPE_CHECKING:
    from harness.registry.registry import Registry


def data_of(
    dataset: Mapping[str, Any], full_name: str, registry: Registry, root: Path | None
) -> tuple[Dataset, Prepared]:
    """Return the dataset that is described and what it gives, decoded or as `Images`.

    Raises:
        DataError: Where the data is absent or damaged, or which samples are versions of one image is lost.
        PluginError: Where the plugin is not there or fails.
    """
    try:
        component: Dataset = registry.build("dataset", dataset)
        prepared = component.prepare(root)
    except HarnessError:
        raise
    except (OSError, ValueError) as error:
        raise DataError(f'dataset "{full_name}": {error}') from error
    except (Exception, SystemExit) as error:
        raise PluginError(f'dataset "{full_name}" failed: {type(error).__name__}: {error}') from error
    if not isinstance(prepared, Prepared):
        raise PluginError(f'dataset "{full_name}": prepare returned {type(prepared).__name__}, not Prepared')
    if isinstance(prepared.train, Split) and prepared.train.sources is None:
        for inner in _within(component):
            if inner.several_versions:
                raise DataError(
                    f'dataset "{full_name}": {type(inner).__name__} within it holds several versions of an image, and '
                    f"{type(component).__name__} does not say which are of one (Split.sources): a validation split "
                    "would hold images that are trained on; name them the other way round"
                )
    return component, prepared


def _within(component: Dataset) -> Iterator[Dataset]:
    """Yield a dataset and those that it is around."""
    yield component
    for field in fields(component):  # type: ignore[arg-type]
        inner = getattr(component, field.name)
        if isinstance(inner, Dataset):
            yield from _within(inner)
