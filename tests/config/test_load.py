"""Whole study files: every broken one is answered in one or two lines a fault, all faults at once, never with a traceback.

The files in `broken/` stand beside the exact text of their answers. To add one, write the file and look at what is said.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regrow.config.keys import sections
from regrow.config.load import build, load_study
from regrow.errors import ConfigError, ProtocolError, RegrowError

from .cases import tables

FOLDER = Path(__file__).parent / "broken"
BROKEN = sorted(path.stem for path in FOLDER.glob("*.toml"))

SMALL = '[data]\nname = "digits"\n[network]\nname = "vgg11"\n[prune]\nmethod = "l1"\n'


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", BROKEN)
class TestEveryBrokenFile:
    def test_gets_exactly_this_answer(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(FOLDER)
        with pytest.raises((ConfigError, ProtocolError)) as caught:
            load_study(f"{name}.toml")
        assert caught.value.exit_code == 2
        assert f"{caught.value}\n" == (FOLDER / f"{name}.txt").read_text(encoding="utf-8")

    def test_is_answered_in_one_or_two_plain_lines_a_fault(self, name: str) -> None:
        lines = (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines()
        starts = [i for i, line in enumerate(lines) if line.startswith(f"{name}.toml: ")]
        assert starts[0] == 0
        assert all(end - start <= 2 for start, end in zip(starts, [*starts[1:], len(lines)], strict=True))
        assert not any(
            word in " ".join(lines).lower() for word in ("input should", "pydantic", "validation error", "nonetype")
        )


def test_twenty_ways_to_be_wrong_are_kept() -> None:
    assert len(BROKEN) >= 20


def write(text: str, name: str = "mine.toml") -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text, encoding="utf-8")
    return name


def test_the_smallest_study_has_a_name_and_a_file() -> None:
    study = load_study(write(SMALL, "my first study.toml"))
    assert study.name == "my-first-study"
    assert study.file == "my first study.toml"


def test_a_name_in_the_file_wins() -> None:
    assert load_study(write('name = "given"\n' + SMALL)).name == "given"


@pytest.mark.parametrize(
    ("file", "name"), [("ümlaut.toml", "mlaut"), ("...toml", "study"), ("x" * 200 + ".toml", "x" * 80)]
)
def test_every_file_name_gives_a_study_a_name(file: str, name: str) -> None:
    assert load_study(write(SMALL, file)).name == name


def test_overrides_change_the_file() -> None:
    study = load_study(write(SMALL), ["prune.fraction=0.3", "seeds=2", "network.name=vgg13", "retrain.tune_lr=false"])
    assert study.prune[0].fraction == 0.3
    assert study.seeds == (0, 1)
    assert study.network[0].name == "vgg13"
    assert not study.retrain.tune_lr


def test_overrides_are_checked_like_the_file_and_say_that_it_was_them() -> None:
    with pytest.raises(ConfigError) as caught:
        load_study(write("margin = -1\n" + SMALL), ["prune.fraction=30", "zzz=3", "oops"])
    assert str(caught.value) == (
        '--set: must be KEY=VALUE; found "oops"\n    For instance --set prune.fraction=0.3\n'
        "--set: zzz: there is no such key; found 3\n"
        f"    Keys of the top of the file: {', '.join(sorted(sections()['']))}.\n"
        "mine.toml: margin: must be a number above 0 and below 100; found -1\n"
        "--set: prune.fraction: must be a number above 0 and below 1, or a list of such values; found 30\n    Did you mean 0.3?"
    )


def test_an_unreadable_file_does_not_hide_wrong_overrides() -> None:
    with pytest.raises(ConfigError) as caught:
        load_study("missing.toml", ["oops"])
    assert [fault.where for fault in caught.value.faults] == ["missing.toml", "--set"]


def test_paths_in_a_file_are_meant_from_its_folder(tmp_path: Path) -> None:
    data = SMALL.replace('"digits"', '"cifar10"\nroot = "../images"')
    dense = '[dense]\ncheckpoint = "net.safetensors"\ntrained_on = "train"\n'
    write("", "studies/net.safetensors")
    study = load_study(write(data + dense, "studies/mine.toml"))
    assert study.data[0].root == tmp_path / "images"
    assert study.dense.checkpoint == tmp_path / "studies" / "net.safetensors"


def test_a_checkpoint_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    dense = '[dense]\ncheckpoint = "net.safetensors"\ntrained_on = "train"\n'
    with pytest.raises(ConfigError) as caught:
        load_study(write(SMALL + dense))
    assert str(caught.value) == (
        f'mine.toml: dense.checkpoint: there is no such file; found "{tmp_path}/net.safetensors"\n'
        "    Give a safetensors file; a relative path is meant from the study file's folder, or with --set from the current one."
    )


def test_paths_in_overrides_are_meant_from_here(tmp_path: Path) -> None:
    study = load_study(write(SMALL, "studies/mine.toml"), ["data.name=cifar10", "data.root=images"])
    assert study.data[0].root == tmp_path / "images"


def test_full_paths_stay(tmp_path: Path) -> None:
    study = load_study(write(SMALL.replace('"digits"', f'"cifar10"\nroot = "{tmp_path}"'), "a/b/mine.toml"))
    assert study.data[0].root == tmp_path


def test_arrays_of_tables_make_a_family() -> None:
    text = '[[data]]\nname = "digits"\n[[network]]\nname = "vgg11"\n[[network]]\nname = "vgg13"\n[[prune]]\nmethod = "l1"\n'
    assert [network.name for network in load_study(write(text)).network] == ["vgg11", "vgg13"]


def test_only_unfairness_is_a_protocol_error() -> None:
    dense = f'[dense]\ncheckpoint = "{write("", "x")}"\ntrained_on = "all"\n'
    with pytest.raises(ProtocolError, match=r"mine\.toml: dense\.trained_on: the test set must be new"):
        load_study(write(SMALL + dense))
    with pytest.raises(ConfigError) as caught:
        load_study(write("margin = 0\n" + SMALL + dense))
    assert [fault.key for fault in caught.value.faults] == ["margin", "dense.trained_on"]


def test_loading_twice_gives_the_same_study() -> None:
    assert load_study("digits") == load_study("digits")


LEAF = st.one_of(
    st.none().map(lambda _: "digits"),
    st.booleans(),
    st.integers(-2, 10**20),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["auto", "vgg11", "vgg16-a", "l1", "retrain", "all", "train", "step", "parquet"]),
    st.dates(),
)
VALUE = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
KEY = st.sampled_from(
    [(section, key) for section, keys in sections().items() for key in keys] + [("", "odd"), ("train", "a.b")]
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(changes=st.lists(st.tuples(KEY, VALUE), min_size=1, max_size=5), several=st.booleans())
def test_no_study_of_any_content_ends_in_a_traceback(changes: list[tuple[tuple[str, str], Any]], several: bool) -> None:
    broken = tables()
    if several:
        broken["network"] = [{"name": "vgg11"}, {"name": "vgg13"}]
    for (section, key), value in changes:
        holder = broken.setdefault(section, {}) if section else broken
        holder = holder[-1] if isinstance(holder, list) and holder else holder
        if isinstance(holder, dict):
            holder[key] = value
    _, faults = build(broken)
    for fault in faults:
        lines = str(fault).split("\n")
        assert len(lines) <= 2
        assert all(line.isprintable() for line in lines)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(content=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_file_of_any_content_ends_in_a_traceback(content: bytes) -> None:
    Path("any.toml").write_bytes(content)
    with pytest.raises(RegrowError):
        load_study("any.toml")


OWN = SMALL.replace('"vgg11"', '"nets:build"')


def test_a_module_beside_the_study_is_found_whatever_the_current_folder_is(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "nets.py").write_text("def build(): ...\n")
    (tmp_path / "deep" / "own.toml").write_text(OWN)
    study = load_study(tmp_path / "deep" / "own.toml", trust=True)
    assert study.folder == tmp_path / "deep"
    (tmp_path / "deep" / "nets.py").unlink()
    with pytest.raises(ConfigError, match="no module nets with a source file"):
        load_study(tmp_path / "deep" / "own.toml", trust=True)


def test_the_path_of_a_program_is_meant_from_where_it_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("study", "here"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "network.pt2").write_bytes(b"program")
    (tmp_path / "study" / "own.toml").write_text(SMALL.replace('"vgg11"', '"network.pt2"'))
    monkeypatch.chdir(tmp_path / "here")
    study = load_study(tmp_path / "study" / "own.toml", trust=True)
    assert study.network[0].name == str(tmp_path / "study" / "network.pt2")
    assert study.settings()["network"][0]["name"] == "network.pt2"
    given = load_study(tmp_path / "study" / "own.toml", ["network.name=network.pt2"], trust=True)
    assert given.network[0].name == str(tmp_path / "here" / "network.pt2")
    assert given.id == study.id


def test_options_of_a_network_are_a_table_and_can_be_set_one_by_one() -> None:
    text = SMALL.replace('"vgg11"', '"torchvision:resnet18"\noptions = { width_per_group = 32 }').replace(
        '"digits"', '"cifar10"'
    )
    study = load_study(write(text), ["network.options.groups=1"])
    assert study.network[0].options == {"width_per_group": 32, "groups": 1}
    with pytest.raises(ConfigError, match=r"network\.options: must be a table; found 3"):
        load_study(write(text), ["network.options=3"])
