from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from regrow.channels.equations import Settled, System, settle, system_of, trial_widths
from regrow.channels.families import Families, Place, group_up
from regrow.channels.ids import Demands, Equation
from regrow.channels.sizes import Attribute, Comparison, Extent, IdArray, Operation
from regrow.channels.solve import solve

HEADS, DIM, WIDTH = Attribute("attn", "num_heads"), Attribute("attn", "head_dim"), Attribute("", "width")


class Sheet:
    """Axes by hand, each a group of its own unless united."""

    def __init__(self, **axes: int) -> None:
        self.demands = Demands()
        self.axes = {name: self.demands.fresh(n) for name, n in axes.items()}

    def extent(self, name: str) -> Extent:
        return Extent(self.axes[name])

    def equate(self, expression: object, target: object, where: str = "attn") -> Sheet:
        self.demands.equations.append(Equation(expression, target, where))  # type: ignore[arg-type]
        return self

    def ask(self, name: str, left: object, right: object, outcome: bool = True) -> Sheet:
        self.demands.diary.comparisons.append(Comparison(name, left, right, outcome))  # type: ignore[arg-type]
        return self

    def families(self) -> Families:
        led = np.ones(self.demands.count, dtype=bool)
        led[0] = False
        places = [Place(name, 0, ids) for name, ids in self.axes.items()]
        axes: list[IdArray] = list(self.axes.values())
        return group_up(places, {(name, 0) for name in self.axes}, solve(self.demands), led, axes)

    def system(self, **dense: int) -> System:
        attributes = {"heads": HEADS, "dim": DIM, "width": WIDTH}
        return system_of(self.demands, self.families(), {attributes[name]: value for name, value in dense.items()})


def names(system: System, members: set[int] | dict[int, str]) -> set[str]:
    return {system.families.groups[number].name for number in members}


def widths(system: System, **by_name: int) -> Sequence[int]:
    return [by_name.get(group.name, group.channels) for group in system.families.groups]


def test_an_attribute_by_itself_is_set_to_the_length_of_its_axis() -> None:
    sheet = Sheet(a=8)
    system = sheet.equate(WIDTH, sheet.extent("a")).system(width=8)
    point = system.at([3])
    assert point.attributes() == {WIDTH: 3} and point.broken() == []


def test_an_attribute_in_an_expression_is_solved_for() -> None:
    sheet = Sheet(a=24)
    system = sheet.equate(Operation("*", 4, DIM), sheet.extent("a")).system(dim=6)
    assert system.at([12]).attributes() == {DIM: 3}
    broken = system.at([10])
    assert broken.attributes() == {DIM: 6} and len(broken.broken()) == 1


def test_an_attribute_follows_others_that_follow_axes() -> None:
    """self.width == self.num_heads * self.head_dim, each with an axis of its own."""
    sheet = Sheet(h=4, d=6, a=24)
    sheet.equate(HEADS, sheet.extent("h")).equate(DIM, sheet.extent("d"))
    system = sheet.equate(Operation("//", WIDTH, HEADS), sheet.extent("d")).system(heads=4, dim=6, width=24)
    assert system.at(widths(system, h=2, d=5)).attributes() == {HEADS: 2, DIM: 5, WIDTH: 10}


def test_an_attribute_that_nothing_defines_keeps_its_value() -> None:
    sheet = Sheet(a=8)
    system = sheet.equate(Operation("//", sheet.extent("a"), HEADS), 2).system(heads=4)
    assert system.definitions == {}
    assert system.at([8]).broken() == [] and len(system.at([4]).broken()) == 1


def test_code_that_would_divide_by_zero_is_broken() -> None:
    sheet = Sheet(a=8, b=4)
    quotient = Operation("//", sheet.extent("a"), Operation("-", sheet.extent("b"), 2))
    system = sheet.equate(quotient, 4).ask(">", quotient, 0).system()
    assert system.at(widths(system)).broken() == [] == system.at(widths(system)).turned()
    assert len(system.at(widths(system, b=2)).broken()) == 1 == len(system.at(widths(system, b=2)).turned())


def test_the_same_asked_in_every_layer_counts_once() -> None:
    sheet = Sheet(a=8)
    for _ in range(3):
        sheet.equate(Operation("*", WIDTH, 1), Extent(sheet.axes["a"].copy())).ask(">", WIDTH, 3)
    assert len(sheet.system(width=8).equations) == 1


def test_an_assertion_makes_an_attribute_follow_the_shape() -> None:
    sheet = Sheet(a=8)
    system = sheet.ask("==", sheet.extent("a"), WIDTH).system(width=8)
    assert system.at([3]).attributes() == {WIDTH: 3} and system.comparisons == ()
    other = Sheet(a=8)
    system = other.ask("!=", WIDTH, other.extent("a"), False).system(width=8)
    assert system.at([3]).attributes() == {WIDTH: 3}


def test_an_assertion_between_computed_sizes_keeps_its_answer() -> None:
    sheet = Sheet(h=4, d=6)
    sheet.equate(HEADS, sheet.extent("h")).equate(DIM, sheet.extent("d"))
    system = sheet.ask("==", Operation("*", HEADS, DIM), WIDTH).system(heads=4, dim=6, width=24)
    assert len(system.at(widths(system, h=2)).turned()) == 1 and system.at(widths(system)).turned() == []


def test_a_question_that_would_be_answered_otherwise_is_turned() -> None:
    sheet = Sheet(a=8)
    system = sheet.ask(">", sheet.extent("a"), 3).ask("==", sheet.extent("a"), 5, False).system()
    assert system.at([4]).turned() == []
    assert [one.name for one in system.at([2]).turned()] == [">"]
    assert [one.name for one in system.at([5]).turned()] == ["=="]


def test_groups_of_an_expression_are_those_of_its_axes_and_of_its_attributes() -> None:
    sheet = Sheet(a=8, b=6, c=4)
    system = sheet.equate(WIDTH, sheet.extent("b")).system(width=6)
    assert names(system, system.groups_in(Operation("+", sheet.extent("a"), WIDTH))) == {"a", "b"}


def test_groups_that_the_code_takes_to_be_equally_long_keep_the_same_share() -> None:
    sheet = Sheet(a=8, b=24)
    system = sheet.equate(Operation("*", sheet.extent("a"), 3), sheet.extent("b")).system()
    settled = settle(system, couple=True)
    assert [names(system, link) for link in settled.links] == [{"a", "b"}] and settled.stay == {}


def test_links_grow_together_where_they_share_a_group() -> None:
    sheet = Sheet(a=8, b=8, c=8)
    sheet.equate(sheet.extent("a"), sheet.extent("b")).equate(sheet.extent("b"), sheet.extent("c"))
    settled = settle(system := sheet.system(), couple=False)
    assert [names(system, link) for link in settled.links] == [{"a", "b", "c"}]


def test_a_group_that_must_come_out_as_a_number_stays_and_says_where() -> None:
    sheet = Sheet(a=8, b=8)
    settled = settle(system := sheet.equate(sheet.extent("a"), 8, "neck").system(), couple=True)
    assert names(system, settled.stay) == {"a"} and settled.links == []
    assert settled.stay[0].startswith("neck: sizes are computed from this one")


def test_a_question_whose_answer_would_change_keeps_its_group() -> None:
    sheet = Sheet(a=8, b=8)
    settled = settle(system := sheet.ask("==", Operation("%", sheet.extent("a"), 8), 0).system(), couple=True)
    assert names(system, settled.stay) == {"a"}


def test_axes_that_no_share_makes_equally_long_are_handed_back_to_be_united() -> None:
    """Of axes that hold 3 and 5 channels of one group each, no common share is possible: position by position it is."""
    sheet = Sheet(a=3, b=3)
    sheet.demands.united.append((sheet.axes["a"][:1], np.array([0], dtype=np.int64)))
    system = sheet.equate(sheet.extent("a"), sheet.extent("b")).system()
    settled = settle(system, couple=True)
    assert len(settled.coupled) == 1 and settled.stay == {}
    one, other = settled.coupled[0]
    assert np.array_equal(one, sheet.axes["a"]) and np.array_equal(other, sheet.axes["b"])
    assert names(system, settle(system, couple=False).stay) == {"a", "b"}


def test_trial_widths_lie_between_one_and_all_and_are_reproducible() -> None:
    system = Sheet(a=8, b=24, c=5).system()
    for trial in range(6):
        found = trial_widths(system, [{0, 1}], {2: "kept"}, trial)
        assert found == trial_widths(system, [{0, 1}], {2: "kept"}, trial)
        assert found[1] == 3 * found[0] and 1 <= found[0] <= 8 and found[2] == 5
    assert trial_widths(system, [], {}, 1) == [4, 12, 2]


def test_nothing_to_follow_settles_at_once() -> None:
    assert settle(Sheet(a=8).system(), couple=True) == Settled([], {}, [])


@pytest.mark.parametrize("scale", [3, 5])
def test_scales_are_handed_on(scale: int) -> None:
    sheet = Sheet(a=8)
    sheet.demands.diary.scales.append(Operation("*", sheet.extent("a"), scale))
    system = sheet.system()
    assert system.at([2]).value(system.scales[0]) == 2 * scale
