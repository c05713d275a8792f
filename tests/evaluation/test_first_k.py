import pytest

from prensa.evaluation.first_k import first_k

KINDS = {"ndcg": "NDCG", "nearest neighbours": "neighbours"}


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("ndcg@10", ("NDCG", 10)),
        ("NDCG_5", ("NDCG", 5)),
        ("ndcg at 1000", ("NDCG", 1000)),
        ("Nearest-Neighbours 3", ("neighbours", 3)),
        ("ndcg", ("NDCG", None)),
        ("ndcg@0", None),
        ("ndcg@1001", None),
        ("ndcg@-3", None),
        ("ndcg@", None),
        ("mrr@10", None),
        ("10", None),
    ],
)
def test_names(word, found):
    assert first_k(word, KINDS) == found
