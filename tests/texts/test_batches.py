from hypothesis import given
from hypothesis import strategies as st

from prensa.texts.batches import by_tokens

LENGTHS = st.lists(st.integers(1, 40), max_size=60)


@given(LENGTHS, st.integers(1, 100), st.none() | st.integers(1, 5), st.booleans())
def test_every_text_is_in_one_batch_that_is_not_too_large(lengths, tokens, most, equal):
    batches = by_tokens(lengths, tokens, most=most, equal=equal)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[index] for index in batch)
        assert len(batch) == 1 or len(batch) * longest <= tokens
        assert most is None or len(batch) <= most
        assert not equal or {lengths[index] for index in batch} == {longest}


def test_the_longest_come_first_and_texts_of_one_length_in_their_order():
    assert by_tokens([2, 9, 4, 9, 2], 18) == [[1, 3], [2, 0, 4]]
