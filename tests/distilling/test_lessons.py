import torch

from prensa.distilling.lessons import NUMBER, lessons_of
from prensa.texts.encoding import Encoded


def encoded(count, mask_id=4, **more):
    rows = [{"input_ids": [5 + n % 90] * (n % 7 + 1), **more} for n in range(count)]
    return Encoded("embedding", "right", {"input_ids": 0}, mask_id, rows)


def test_every_text_is_learnt_from_or_kept_apart():
    learnt, apart = lessons_of(encoded(1000), 64, 0, 600, masked=False)
    assert apart.texts == 50
    texts = [text for lessons in (learnt, apart) for batch in lessons.indices for text in batch]
    assert sorted(texts) == list(range(1000))


def test_what_is_kept_apart_has_its_bounds():
    for count, seconds, kept in ((200, 600, 20), (30_000, 6000, 500), (30_000, 600, 300), (30_000, 5, 100)):
        _, apart = lessons_of(encoded(count), 64, 0, seconds, masked=False)
        assert apart.texts == kept


def test_no_batch_has_the_number_of_another():
    learnt, apart = lessons_of(encoded(400), 64, 0, 600, masked=False)
    numbers = [lessons[index][NUMBER] for lessons in (apart, learnt) for index in range(len(lessons))]
    assert numbers == list(range(len(apart) + len(learnt)))


def test_batches_have_as_many_tokens_as_they_may_and_a_mask():
    learnt, _ = lessons_of(encoded(400), 64, 0, 600, masked=False)
    sizes = []
    for index in range(len(learnt)):
        batch = learnt.batch(index)
        assert torch.equal(batch["attention_mask"], (batch["input_ids"] != 0).long())
        sizes.append(batch["input_ids"].numel())
    assert max(sizes) <= 64
    assert sorted(sizes)[len(sizes) // 2] > 48


def test_some_tokens_are_masked_the_same_ones_in_every_round():
    learnt, _ = lessons_of(encoded(2000), 256, 0, 600, masked=True)
    masked, tokens = 0, 0
    for index in range(len(learnt)):
        batch = learnt.batch(index)
        assert torch.equal(batch["input_ids"], learnt.batch(index)["input_ids"])
        masked += int((batch["input_ids"] == 4).sum())
        tokens += int(batch["attention_mask"].sum())
        assert not ((batch["input_ids"] == 4) & (batch["attention_mask"] == 0)).any()
    assert 0.1 < masked / tokens < 0.2


def test_the_seed_says_which_are_kept_apart():
    apart = [lessons_of(encoded(400), 64, seed, 600, masked=False)[1].indices for seed in (0, 0, 1)]
    assert apart[0] == apart[1] != apart[2]
