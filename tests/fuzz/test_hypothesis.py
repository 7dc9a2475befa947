"""The same targets driven by hypothesis, which makes a failing input as small as it can be."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.corpus import corpus
from tests.fuzz.targets import TARGETS

pytestmark = [pytest.mark.promise(8), pytest.mark.timeout(120)]

CORPUS = corpus()

targets = pytest.mark.parametrize("name", TARGETS)
unhurried = settings(deadline=None, max_examples=150, print_blob=True)

edits = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.integers(0, 8),
        st.binary(max_size=8)
        | st.sampled_from([b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\0\0"]),
    ),
    max_size=4,
)


@targets
@unhurried
@given(data=st.binary(max_size=200))
def test_any_bytes_keep_every_promise(name: str, data: bytes) -> None:
    TARGETS[name](data)


@targets
@unhurried
@given(data=st.data())
def test_edited_inputs_keep_every_promise(name: str, data: st.DataObject) -> None:
    edited = bytearray(data.draw(st.sampled_from(CORPUS[name])))
    for place, removed, added in data.draw(edits):
        at = int(place * len(edited))
        edited[at : at + removed] = added
    TARGETS[name](bytes(edited))
