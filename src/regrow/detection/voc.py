"""PASCAL VOC format: lists of image names, and an XML file of boxes for each. Imports no torch.

    root/ImageSets/Main/trainval.txt      one name a line
    root/Annotations/NAME.xml             size and objects
    root/JPEGImages/NAME.jpg              or another common ending

Tested on is `test.txt`, and trained on `trainval.txt` or `train.txt`; without a `test.txt`, `val.txt` and `train.txt`. Pixels are
counted from 1 and edges belong to the box, so xmin 1 and xmax 64 span an image that is 64 pixels wide.

An XML file may not declare a document type: entities that unfold without end or read other files need one. So none is needed here.

Source: Everingham et al. 2010, https://doi.org/10.1007/s11263-009-0275-4
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.etree import ElementTree
from xml.parsers import expat

from regrow.data.folder import SUFFIXES
from regrow.detection.scenes import BoxData, Raw, Thing, box_data, check_known, checked_box, path_inside
from regrow.errors import DataError

LARGEST_FILE: Final = 16 * 2**20
"""Bytes of an XML file; annotations have a few thousand."""

_PARTS: Final = ((("trainval", "train"), "test"), (("train",), "val"))
"""Lists to train on, best first, for each list to test on."""

_EDGES: Final = ("xmin", "ymin", "xmax", "ymax")


@dataclass
class _Folder:
    """A data set that is being read."""

    root: Path
    empty: int = field(default=0)
    """Boxes without area that were left out."""


def read_voc(root: Path) -> BoxData:
    """The data set below `root`. Raises `DataError`, which names file and object, for whatever does not fit."""
    folder = _Folder(root)
    train_list, test_list = _lists(root)
    train = [_scene(folder, train_list, name) for name in _listed(train_list)]
    names = sorted({thing.name for one in train for thing in one.things})
    test = [_scene(folder, test_list, name, names) for name in _listed(test_list)]
    notes = [f"{folder.empty} boxes without area were left out"] if folder.empty else []
    return box_data(train, test, names, notes)


def _lists(root: Path) -> tuple[Path, Path]:
    """The list to train on and the list to test on."""
    main = root / "ImageSets" / "Main"
    for trained, tested in _PARTS:
        found = next((main / f"{name}.txt" for name in trained if (main / f"{name}.txt").is_file()), None)
        if found is not None and (main / f"{tested}.txt").is_file():
            return found, main / f"{tested}.txt"
    raise DataError(
        f"{main} must hold trainval.txt (or train.txt) and test.txt, or train.txt and val.txt: one image name a line. "
        "For annotations in JSON use --format coco."
    )


def _listed(file: Path) -> list[str]:
    """The names in a list, the second column of VOC's lists for single classes left out."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read ({error}). It must be a text with one image name a line.") from None
    return [line.split()[0] for line in lines if line.strip()]


def _scene(folder: _Folder, listed: Path, name: str, classes: Sequence[str] | None = None) -> Raw:
    """One image of a list; with `classes`, its objects must be of these."""
    file = path_inside(folder.root / "Annotations", f"{name}.xml", f"{listed}")
    tree = parse_xml(file)
    image = _image(folder.root / "JPEGImages", name, file)
    width, height = (int(_number(tree, f"size/{key}", f"{file}")) for key in ("width", "height"))
    things = [
        _thing(folder, node, (width, height), f"{file}, object {number}", classes)
        for number, node in enumerate(tree.findall("object"), start=1)
    ]
    return Raw(image, name, width, height, tuple(thing for thing in things if thing is not None))


def _image(folder: Path, name: str, file: Path) -> Path:
    """The image of a name: a JPEG as a rule, or a file with another common ending."""
    for suffix in (".jpg", *sorted(SUFFIXES - {".jpg"})):
        if (folder / f"{name}{suffix}").is_file():
            return folder / f"{name}{suffix}"
    return path_inside(folder, f"{name}.jpg", str(file))  # says that it is missing


def _thing(
    folder: _Folder, node: ElementTree.Element, size: tuple[int, int], where: str, classes: Sequence[str] | None
) -> Thing | None:
    name = (node.findtext("name") or "").strip()
    if not name:
        raise DataError(f"{where} has no name. Give its class, <name>dog</name>.")
    place = f"{where} ({name})"
    if classes is not None:
        check_known(name, classes, lambda: place)
    left, top, right, bottom = (_number(node, f"bndbox/{edge}", place) for edge in _EDGES)
    inside = checked_box((left - 1, top - 1, right, bottom), *size, lambda: place)
    if inside is None:
        folder.empty += 1
        return None
    return Thing(name, inside, ignored=(node.findtext("difficult") or "0").strip() == "1")


def _number(node: ElementTree.Element, path: str, where: str) -> float:
    text = (node.findtext(path) or "").strip()
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{where}: {path.replace('/', ' / ')} must be a number of pixels; found {text!r}.")
    return value


def parse_xml(file: Path) -> ElementTree.Element:
    """An XML file without a document type. Raises `DataError` for one that has it, is too large, or is no XML."""
    content = file.read_bytes() if file.stat().st_size <= LARGEST_FILE else None
    if content is None:
        raise DataError(f"{file} has more than {LARGEST_FILE:,} bytes, which no annotation has. Look at what is in it.")
    try:
        _refuse_document_types(content, file)
        return ElementTree.fromstring(content)
    except (expat.ExpatError, ElementTree.ParseError, ValueError, LookupError) as error:
        raise DataError(f"{file} cannot be read as XML ({error}). Repair it, or write it again.") from None


def _refuse_document_types(content: bytes, file: Path) -> None:
    """Read once without building anything; the handler is called before a single entity is declared."""

    def refuse(*declared: object) -> None:
        raise DataError(
            f"{file} declares the document type {declared[0]!r}, which can hold entities; annotations need none. "
            "Take the line that begins with <!DOCTYPE out."
        )

    reader = expat.ParserCreate()
    reader.StartDoctypeDeclHandler = refuse
    reader.Parse(content, True)
