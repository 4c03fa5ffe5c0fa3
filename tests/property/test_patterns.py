"""The quick way for simple patterns answers as the engine of all others does."""

from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from patchwright.wire import patterns
from patchwright.wire.model import Models
from patchwright.wire.shapes import ListShape, MapShape, Shape, StringShape, StructureShape


@cache
def _patterns() -> list[str]:
    """Every pattern of the models' requests."""
    found, seen = set[str](), set[int]()

    def walk(shape: Shape) -> None:
        if id(shape) in seen:
            return
        seen.add(id(shape))
        if isinstance(shape, StringShape) and shape.pattern:
            found.add(shape.pattern)
        elif isinstance(shape, StructureShape):
            for member in shape.members.values():
                walk(member.shape)
        elif isinstance(shape, ListShape):
            walk(shape.member)
        elif isinstance(shape, MapShape):
            walk(shape.key)
            walk(shape.value)

    for service in Models.load().services.values():
        for operation in service.operations.values():
            walk(operation.input)
    return sorted(found)


characters = st.sampled_from("aZ09_-.:/@+= ,\\n\n\r\u0085\u2028é٣\x00[]$^")


@given(st.data())
def test_the_quick_way_is_the_engines(data: st.DataObject) -> None:
    simple = [pattern for pattern in _patterns() if patterns._ONE_CLASS.fullmatch(pattern)]
    assert len(simple) > 10
    pattern, value = data.draw(st.sampled_from(simple)), data.draw(st.text(characters, max_size=140))
    assert patterns.matches(pattern, value) == (patterns._compiled(pattern).fullmatch(value) is not None)
