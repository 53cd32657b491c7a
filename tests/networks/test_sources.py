"""What is known of a network from elsewhere before anything of it is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from regrow.errors import ConfigError, MissingExtraError
from regrow.files import file_digest
from regrow.networks import sources
from regrow.networks.settings import NetworkSettings
from regrow.networks.sources import (
    SOURCES,
    Access,
    dense_network,
    find_module,
    is_foreign,
    name_fault,
    split,
)
from regrow.networks.spec import NetworkSpec

from .own_nets import write_nets

SHAPE = (3, 32, 32)


def found(folder: Path, name: str, *, width: float = 1.0, shape: tuple[int, int, int] = SHAPE, **options: object):  # type: ignore[no-untyped-def]
    settings = NetworkSettings(name=name, width=width, options=options)
    return dense_network(settings, classes=10, shape=shape, folder=folder)


def told(folder: Path, name: str, **more: object) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as error:
        found(folder, name, **more)  # type: ignore[arg-type]
    return [(fault.key, f"{fault.rule} {fault.hint}") for fault in error.value.faults]


@pytest.mark.parametrize(
    ("name", "source", "rest"),
    [
        ("torchvision:resnet50", "torchvision", "resnet50"),
        ("timm:vit_small_patch16_224.augreg_in21k", "timm", "vit_small_patch16_224.augreg_in21k"),
        ("transformers:ViTConfig", "transformers", "ViTConfig"),
        ("mypackage.nets:build", sources.FACTORY, "mypackage.nets:build"),
        ("nets:Net.small", sources.FACTORY, "nets:Net.small"),
        ("nets/network.pt2", sources.PROGRAM, "nets/network.pt2"),
        ("torch.export:network.pt2", sources.PROGRAM, "network.pt2"),
    ],
)
def test_the_name_says_where_a_network_comes_from(name: str, source: str, rest: str) -> None:
    assert is_foreign(name) and name_fault(name) is None
    assert split(name) == (SOURCES[source], rest)


@pytest.mark.parametrize("name", ["vgg16", "resnet-bc100"])
def test_a_name_without_a_colon_is_of_the_zoo(name: str) -> None:
    assert not is_foreign(name)


@pytest.mark.parametrize(
    "name", ["timm:", "timm:hf-hub:org/model", "torchvision:a b", "nets:", ":build", "a..b:c", "a/b:c"]
)
def test_a_name_that_cannot_be_one_is_a_fault(name: str) -> None:
    fault = name_fault(name)
    assert fault is not None and fault.key == "network.name" and fault.hint


def test_a_network_of_a_library_carries_the_version_of_its_code(tmp_path: Path) -> None:
    import torchvision

    spec, access = found(tmp_path, "torchvision:resnet18", width_per_group=32)
    assert spec == NetworkSpec(
        name="torchvision:resnet18",
        width=1.0,
        widths=(),
        classes=10,
        shape=SHAPE,
        options='{"width_per_group":32}',
        origin=f"torchvision {torchvision.__version__.partition('+')[0]}",
    )
    assert access == Access()


def test_a_function_of_ones_own_carries_the_hash_of_its_file(tmp_path: Path) -> None:
    path = write_nets(tmp_path)
    spec, access = found(tmp_path, "nets:build")
    assert spec.origin == f"sha256 {file_digest(path)}"
    assert access == Access(trust=False, place=str(tmp_path))


def test_a_program_is_named_without_its_folder_and_known_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "network.pt2"
    path.write_bytes(b"program")
    spec, access = found(tmp_path, "network.pt2")
    assert (spec.name, spec.origin) == ("torch.export:network.pt2", f"sha256 {file_digest(path)}")
    assert access.place == str(path)


def test_a_module_inside_a_package_is_found_without_importing_the_package(tmp_path: Path) -> None:
    path = write_nets(tmp_path, "unseen.zoo.nets")
    (tmp_path / "unseen" / "__init__.py").write_text("raise RuntimeError('imported')")
    assert find_module("unseen.zoo.nets", tmp_path) == (path, str(tmp_path))
    assert "unseen" not in sys.modules


def test_the_folder_of_the_study_comes_before_what_is_installed(tmp_path: Path) -> None:
    path = write_nets(tmp_path, "json")
    assert find_module("json", tmp_path) == (path, str(tmp_path))
    assert find_module("json.decoder", tmp_path) is None


def test_an_installed_module_is_found_too(tmp_path: Path) -> None:
    module = find_module("torchvision.models", tmp_path)
    assert module is not None and module[0].name == "__init__.py"


@pytest.mark.parametrize("module", ["nothing_of_this_name", "json.nothing", "sys"])
def test_a_module_without_a_source_file_is_not_found(module: str, tmp_path: Path) -> None:
    assert find_module(module, tmp_path) is None


def test_a_missing_module_is_told_with_the_places_that_were_searched(tmp_path: Path) -> None:
    ((key, text),) = told(tmp_path, "nowhere.nets:build")
    assert key == "network.name" and str(tmp_path) in text and "nowhere.nets" in text


def test_a_misspelt_source_is_answered_with_a_suggestion(tmp_path: Path) -> None:
    ((_, text),) = told(tmp_path, "tim:resnet18")
    assert "Did you mean timm:resnet18?" in text


def test_a_missing_program_is_told(tmp_path: Path) -> None:
    assert told(tmp_path, "network.pt2")[0][0] == "network.name"


@pytest.mark.parametrize(
    ("name", "more", "key", "text"),
    [
        ("torchvision:resnet18", {"width": 0.5}, "width", "networks of the zoo only; found 0.5"),
        ("torchvision:resnet18", {"num_classes": 3}, "options", "num_classes cannot be given"),
        ("torchvision:resnet18", {"weights": "DEFAULT"}, "options", "dense.checkpoint"),
        ("torchvision:resnet18", {"shape": (1, 8, 8)}, "name", "take images with 3 channels; the data have 1"),
        ("vgg11", {"depth": 3}, "options", "for networks from elsewhere; found some for vgg11"),
    ],
)
def test_what_does_not_go_with_the_source_is_told(
    tmp_path: Path, name: str, more: dict[str, object], key: str, text: str
) -> None:
    ((found_key, found_text),) = told(tmp_path, name, **more)
    assert found_key == f"network.{key}" and text in found_text


def test_a_program_has_no_options(tmp_path: Path) -> None:
    (tmp_path / "network.pt2").write_bytes(b"program")
    assert told(tmp_path, "network.pt2", depth=3)[0][0] == "network.options"


def test_a_library_that_is_not_installed_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)  # what Python itself uses to say that there is none
    monkeypatch.setattr(sources.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r'pip install "regrow\[timm\]"'):
        found(tmp_path, "timm:resnet18")


def test_the_zoo_is_as_it_was(tmp_path: Path) -> None:
    spec, access = found(tmp_path, "vgg11", width=0.25)
    assert (spec.width, spec.options, spec.origin, access) == (0.25, "{}", "", Access())


@pytest.mark.parametrize("access", [Access(), Access(trust=True), Access(trust=True, place="/nets")])
def test_access_travels_with_a_stage(access: Access) -> None:
    assert Access.from_local({"loader_workers": "2", **access.to_local()}) == access


def test_nothing_of_this_imports_torch(tmp_path: Path) -> None:
    write_nets(tmp_path)
    script = (
        "import sys; from pathlib import Path; from regrow.networks.settings import NetworkSettings as S; "
        "from regrow.networks.sources import dense_network; "
        f"[dense_network(S(name=name), classes=10, shape=(3, 32, 32), folder=Path({str(tmp_path)!r})) "
        "for name in ('torchvision:resnet18', 'nets:build')]; "
        "sys.exit('torch' in sys.modules or 'nets' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
