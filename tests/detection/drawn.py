"""Data that the tests draw themselves: coloured rectangles and discs on noise, with their boxes, and the small studies before them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 64
COLOURS = {"disc": (220, 40, 40), "rectangle": (40, 60, 230)}
"""Of the two classes."""

STUDY = """
name = "shapes"
seeds = {seeds}
arms = {arms}
contrast = {contrast}

[data]
name = "folder"
root = "{root}"
classes = 2
shape = [3, 32, 32]
loader_workers = 0
examples = {examples}

[network]
name = "{network}"
width = {width}

[train]
epochs = {epochs}
lr = 0.05
batch = 16

[prune]
method = "{method}"
fraction = 0.5

[retrain]
epochs = {epochs}
tune_lr = false

[compute]
device = "cpu"
precision = "fp32"
channels_last = false
"""


@dataclass(frozen=True)
class Picture:
    """One image and what is on it."""

    name: str
    pixels: NDArray[np.uint8]
    things: tuple[tuple[str, tuple[int, int, int, int]], ...]
    """Class and box: left, top, right, bottom, the last two just outside."""


def draw(count: int, seed: int = 0) -> list[Picture]:
    """Images of 64 x 64 with one to three things that do not touch."""
    chance = np.random.default_rng(seed)
    return [_picture(f"shape{number:03d}", chance) for number in range(count)]


def _picture(name: str, chance: np.random.Generator) -> Picture:
    pixels = chance.integers(70, 130, (SIDE, SIDE, 3)).astype(np.uint8)
    things: list[tuple[str, tuple[int, int, int, int]]] = []
    for _ in range(int(chance.integers(1, 4))):
        width, height = (int(size) for size in chance.integers(14, 27, 2))
        kind = ("disc", "rectangle")[int(chance.integers(2))]
        height = width if kind == "disc" else height
        left, top = int(chance.integers(0, SIDE - width)), int(chance.integers(0, SIDE - height))
        box = (left, top, left + width, top + height)
        if not any(_touch(box, other) for _, other in things):
            paint(pixels, kind, box)
            things.append((kind, box))
    return Picture(name, pixels, tuple(things))


def _touch(one: Sequence[int], other: Sequence[int]) -> bool:
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]


def paint(pixels: NDArray[np.uint8], kind: str, box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box
    rows, columns = np.mgrid[top:bottom, left:right] + 0.5
    middle, radius = ((top + bottom) / 2, (left + right) / 2), (right - left) / 2
    inside = (rows - middle[0]) ** 2 + (columns - middle[1]) ** 2 <= radius**2
    where = inside if kind == "disc" else np.ones_like(inside)
    pixels[top:bottom, left:right][where] = COLOURS[kind]


def write_voc(root: Path, train: Sequence[Picture], test: Sequence[Picture]) -> Path:
    """The pictures in PASCAL VOC format."""
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    for part, pictures in (("train", train), ("val", test)):
        names = "".join(f"{picture.name}\n" for picture in pictures)
        (root / "ImageSets" / "Main" / f"{part}.txt").write_text(names)
    for picture in (*train, *test):
        Image.fromarray(picture.pixels).save(root / "JPEGImages" / f"{picture.name}.png")
        (root / "Annotations" / f"{picture.name}.xml").write_text(voc_xml(picture))
    return root


def voc_xml(picture: Picture) -> str:
    """Pixels are counted from 1, and edges belong to the box."""
    objects = "".join(
        f"<object><name>{kind}</name><difficult>0</difficult><bndbox><xmin>{box[0] + 1}</xmin><ymin>{box[1] + 1}</ymin>"
        f"<xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>"
        for kind, box in picture.things
    )
    size = f"<size><width>{SIDE}</width><height>{SIDE}</height><depth>3</depth></size>"
    return f"<annotation><filename>{picture.name}.png</filename>{size}{objects}</annotation>"


def write_coco(root: Path, train: Sequence[Picture], test: Sequence[Picture]) -> Path:
    """The pictures in COCO format; numbers begin anywhere."""
    (root / "annotations").mkdir(parents=True)
    for part, pictures in (("train2020", train), ("val2020", test)):
        (root / part).mkdir()
        for picture in pictures:
            Image.fromarray(picture.pixels).save(root / part / f"{picture.name}.png")
        (root / "annotations" / f"instances_{part}.json").write_text(json.dumps(coco_json(pictures)))
    return root


def coco_json(pictures: Sequence[Picture]) -> dict[str, list[dict[str, object]]]:
    kinds = {"rectangle": 3, "disc": 17}
    images = [
        {"id": 100 + i, "file_name": f"{one.name}.png", "width": SIDE, "height": SIDE} for i, one in enumerate(pictures)
    ]
    things = [(100 + i, kind, box) for i, one in enumerate(pictures) for kind, box in one.things]
    annotations = [
        {
            "id": number,
            "image_id": image,
            "category_id": kinds[kind],
            "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
            "iscrowd": 0,
        }
        for number, (image, kind, box) in enumerate(things)
    ]
    categories = [{"id": number, "name": name} for name, number in kinds.items()]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_study(
    folder: Path,
    *,
    network: str = "resnet20",
    width: float = 0.25,
    seeds: int = 2,
    epochs: int = 2,
    count: int = 16,
    arms: Sequence[str] = ("fine-tune", "scratch-e"),
    method: str = "l1",
) -> Path:
    """A study of discs and rectangles, `count` images of 32 x 32 of each for training, and its image folder."""
    chance = np.random.default_rng(7)
    for part, number in (("train", count), ("test", 4)):
        for kind in COLOURS:
            (folder / "images" / part / kind).mkdir(parents=True)
            for i in range(number):
                pixels = chance.integers(70, 130, (32, 32, 3)).astype(np.uint8)
                left, top = (int(edge) for edge in chance.integers(0, 12, 2))
                paint(pixels, kind, (left, top, left + 20, top + 20))
                Image.fromarray(pixels).save(folder / "images" / part / kind / f"{i}.png")
    path = folder / "shapes.toml"
    text = STUDY.format(
        seeds=seeds,
        arms=json.dumps(list(arms)),
        contrast=json.dumps(list(arms[:2])),
        root=folder / "images",
        examples=2 * count,
        network=network,
        width=width,
        epochs=epochs,
        method=method,
    )
    path.write_text(text)
    return path
