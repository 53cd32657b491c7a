"""COCO format: a JSON file of images, boxes and categories for each part, and the folders of their images. Imports no torch.

    root/annotations/instances_train2017.json      root/train2017/*.jpg
    root/annotations/instances_val2017.json        root/val2017/*.jpg

The training part is the file that begins with `instances_train`; the test part begins with `instances_test` or, without one, with
`instances_val`. The rest of a file's name is its folder of images, in the root or in `root/images`. A box is [left, top, width, height].

Source: Lin et al. 2014, arXiv:1405.0312; https://cocodataset.org/#format-data
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from regrow.detection.scenes import BoxData, Raw, Thing, box_data, check_known, checked_box, path_inside
from regrow.errors import DataError

_BEGINS: Final = "instances_"
_LISTS: Final = ("images", "annotations", "categories")


@dataclass
class _Part:
    """One annotation file."""

    file: Path
    folder: Path
    content: Mapping[str, list[dict[str, Any]]]
    empty: int = field(default=0)
    """Boxes without area that were left out."""


def read_coco(root: Path) -> BoxData:
    """The data set below `root`. Raises `DataError`, which names file and entry, for whatever does not fit."""
    train, test = _part(root, ("train",)), _part(root, ("test", "val"))
    names = _names(train)
    parts = [_scenes(part, _categories(part), sorted(set(names.values()))) for part in (train, test)]
    empty = train.empty + test.empty
    notes = [f"{empty} boxes without area were left out"] if empty else []
    return box_data(parts[0], parts[1], names.values(), notes)


def _part(root: Path, wanted: tuple[str, ...]) -> _Part:
    file = _annotation_file(root, wanted)
    content = _read(file)
    name = file.stem.removeprefix(_BEGINS)
    folder = next((place for place in (root / name, root / "images" / name) if place.is_dir()), None)
    if folder is None:
        raise DataError(
            f"{file} belongs to the images in {root / name} or {root / 'images' / name}; there is no such folder."
        )
    return _Part(file, folder, content)


def _annotation_file(root: Path, wanted: tuple[str, ...]) -> Path:
    for name in wanted:
        found = sorted((root / "annotations").glob(f"{_BEGINS}{name}*.json"))
        if len(found) == 1:
            return found[0]
        if found:
            raise DataError(f"{found[0]} and {found[1].name} both begin with {_BEGINS}{name}. Leave one of them there.")
    expected = " or ".join(f"{_BEGINS}{name}*.json" for name in wanted)
    raise DataError(
        f"{root / 'annotations'} holds no {expected}. Data in COCO format need one; for XML files use --format voc."
    )


def _read(file: Path) -> dict[str, list[dict[str, Any]]]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file} cannot be read as JSON ({error}). Repair it, or write it again.") from None
    for name in _LISTS:
        rows = content.get(name) if isinstance(content, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise DataError(
                f"{file} must be an object with the lists {', '.join(_LISTS)}; {name} is not a list of objects."
            )
    return dict(content)


def _categories(part: _Part) -> dict[int, str]:
    """Names by number."""
    found: dict[int, str] = {}
    for row in part.content["categories"]:
        number, name = _whole(part, "categories", row, "id"), row.get("name")
        if not isinstance(name, str) or not name:
            raise DataError(f"{part.file}, category {number}: name must be a text; found {name!r}.")
        found[number] = name
    return found


def _names(part: _Part) -> dict[int, str]:
    """The classes that training images have: a file may list categories that none of its images shows."""
    names = _categories(part)
    used = {row.get("category_id") for row in part.content["annotations"]}
    return {number: name for number, name in names.items() if number in used}


def _scenes(part: _Part, categories: Mapping[int, str], classes: list[str]) -> list[Raw]:
    things = _things_by_image(part)
    scenes = []
    for row in part.content["images"]:
        number, name = _whole(part, "images", row, "id"), row.get("file_name")
        if not isinstance(name, str):
            raise DataError(f"{part.file}, image {number}: file_name must be a text; found {name!r}.")
        width, height = (_whole(part, "images", row, key) for key in ("width", "height"))
        image = path_inside(part.folder, name, f"{part.file}, image {number}")
        found = [_thing(part, one, (width, height), categories, classes) for one in things.pop(number, ())]
        kept = tuple(thing for thing in found if thing is not None)
        scenes.append(Raw(image, name.rpartition(".")[0] or name, width, height, kept))
    if things:
        number, rows = next(iter(things.items()))
        raise DataError(
            f"{part.file}, annotation {rows[0].get('id')}: image_id is {number}, and there is no such image in the file. "
            "Add the image, or take the annotation out."
        )
    return scenes


def _things_by_image(part: _Part) -> dict[int, list[dict[str, Any]]]:
    things: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in part.content["annotations"]:
        things[_whole(part, "annotations", row, "image_id")].append(row)
    return dict(things)


def _thing(
    part: _Part, row: dict[str, Any], size: tuple[int, int], categories: Mapping[int, str], classes: list[str]
) -> Thing | None:
    def where() -> str:
        return f"{part.file}, annotation {row.get('id')} of image {row['image_id']}"

    number = _whole(part, "annotations", row, "category_id")
    if number not in categories:
        known = ", ".join(map(str, sorted(categories)[:20]))
        raise DataError(f"{where()}: category_id is {number}, an unknown class. The file's categories are {known}.")
    check_known(categories[number], classes, where)
    box = row.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(_is_number(edge) for edge in box):
        raise DataError(f"{where()}: bbox must be [left, top, width, height] in pixels; found {box!r}.")
    left, top, width, height = map(float, box)
    inside = checked_box((left, top, left + width, top + height), *size, where)
    if inside is None:
        part.empty += 1
        return None
    return Thing(categories[number], inside, ignored=bool(row.get("iscrowd", 0)))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole(part: _Part, kind: str, row: Mapping[str, Any], key: str) -> int:
    value = row.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise DataError(f"{part.file}, {kind}, entry {row.get('id')!r}: {key} must be a whole number; found {value!r}.")
    return value
