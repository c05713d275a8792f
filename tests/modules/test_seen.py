"""What batches show of a module, and what is made of counts and answers."""

import pytest
import torch
from torch import nn

import prensa
from prensa.errors import ModelError
from prensa.modules.answers import Answers, outputs_of
from prensa.modules.batches import batches_of
from prensa.modules.contents import contents
from prensa.modules.seen import _expected, see
from prensa.progress import silent

NONE = torch.empty(0)


@pytest.mark.parametrize(
    ("uses", "expected"),
    [
        ([0, 6, 6, 3, 0, 0], [5, 6, 6, 3, 5, 5]),  # positions: neighbours
        ([4, 1, 2, 1], [4, 1, 2, 1]),
        ([0, 0, 0], [1, 1, 1]),
    ],
)
def test_rows_that_no_batch_has(uses, expected):
    assert _expected(torch.tensor(uses, dtype=torch.float32)).tolist() == expected


def test_tokens_that_no_batch_has_come_as_those_that_came_once():
    uses = torch.zeros(100)
    uses[[3, 17, 40, 88]] = torch.tensor([1.0, 9.0, 1.0, 5.0])
    expected = _expected(uses)
    assert expected[uses > 0].equal(uses[uses > 0])
    assert expected[0] == 4 * (2 + 1) / 96
    assert len(expected[uses == 0].unique()) == 1


def numbers(*shape):
    return torch.arange(1.0, 1 + torch.Size(shape).numel()).reshape(shape).requires_grad_()


def test_numbers_with_gradients_count_however_deep_they_lie():
    answer = {
        "logits": numbers(2, 3),
        "more": [(numbers(4), torch.ones(2, 2)), "text", None],
        "ids": torch.arange(3),
    }
    found = outputs_of(answer, NONE)
    assert [rows.shape for rows in found] == [(2, 3), (4, 1)]
    assert outputs_of(torch.ones(3), NONE) == []
    assert outputs_of(None, NONE) == []


def test_those_of_tokens_count_without_padding():
    mask = torch.tensor([[True, True], [True, False]])
    (found,) = outputs_of(numbers(2, 2, 3), mask)
    assert found[:, 0].tolist() == [1, 4, 7]
    (found,) = outputs_of(numbers(2, 2), mask)
    assert found.flatten().tolist() == [1, 2, 3]
    (found,) = outputs_of(numbers(3, 2), mask)
    assert len(found) == 3


def test_masked_scores_are_none_and_infinite_ones_an_error():
    scores = torch.tensor([[1.0, -1e4, float("-inf"), -9000.0]], requires_grad=True)
    (found,) = outputs_of(scores, NONE)
    assert found.tolist() == [[1, 0, 0, -9000]]
    with pytest.raises(ModelError, match="NaN or infinite"):
        outputs_of(torch.tensor([[float("inf")]], requires_grad=True), NONE)


def test_answers_without_rows_are_left_out():
    answers = Answers()
    answers.add([torch.empty(0, 3), torch.tensor([[1.0], [3.0]])])
    assert answers.variance == 2
    (found,) = outputs_of(torch.empty(4, 0, requires_grad=True), NONE)
    assert found.shape == (4, 0)


def test_variance_is_around_the_mean_of_each_entry():
    answers = Answers()
    answers.add([torch.tensor([[1.0, 10.0], [3.0, 10.0]])])
    answers.add([torch.tensor([[5.0, 10.0]]), torch.tensor([[2.0]])])
    # Of a single number the mean square counts.
    assert answers.variance == pytest.approx((4 + 0 + 4) + 4)
    answers.add([torch.tensor([[7.0]])])
    assert answers.variance == pytest.approx(8 + 4 + 49)


def test_gradients_that_are_no_numbers_are_refused():
    """Those of a root behind ``where``: the numbers that are returned are finite, and their gradients are not."""
    module = nn.Sequential(nn.Linear(16, 16))
    batches = [torch.randn(8, 16) for _ in range(4)]

    def run(module, batch):
        scores = module(batch)
        return torch.where(scores > 0, scores.sqrt(), 0.0)

    with pytest.raises(ModelError, match=r"what 0\.weight sees has no finite second moment"):
        prensa.compress_module(module, texts=batches, run=run)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_inputs_that_are_no_numbers_are_refused_without_gradients(value):
    module = nn.Sequential(nn.Linear(16, 16))
    batches = [torch.full((8, 16), value)]
    with pytest.raises(ModelError, match=r"what 0\.weight sees has no finite second moment"):
        prensa.compress_module(module, texts=batches, run=torch.no_grad()(lambda each, batch: each(batch)))


class Mixed(nn.Module):
    """A table, a layer, a matrix that no layer multiplies, and a head of two outputs."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(50, 16)
        self.layer = nn.Linear(16, 24)
        self.mixing = nn.Parameter(torch.randn(24, 24) / 5)
        self.head = nn.Linear(24, 2)

    def forward(self, ids):
        hidden = torch.tanh(self.layer(self.table(ids)))
        return self.head(hidden + hidden @ self.mixing)


def mixed(dtype=torch.float32):
    torch.manual_seed(0)
    return Mixed().to(dtype).eval()


IDS = [torch.randint(0, 50, (8, 6), generator=torch.Generator().manual_seed(n)) for n in range(6)]


def seen_of(module, run, batches=IDS):
    wanted = [held for held in contents(module) if held.tensor.dim() == 2]
    return see(module, run, batches_of(batches, 8), wanted, silent).matrices


def plainly(module, batch):
    return module(batch)


def under_autocast(module, batch):
    with torch.autocast("cpu", torch.bfloat16):
        return module(batch)


@pytest.mark.parametrize(
    ("dtype", "run"),
    [
        (torch.float16, plainly),
        (torch.bfloat16, plainly),
        (torch.float64, plainly),
        (torch.float32, under_autocast),
    ],
    ids=["float16", "bfloat16", "float64", "autocast"],
)
def test_sums_are_float32_whatever_a_module_computes_in(dtype, run):
    known = seen_of(mixed(), plainly)
    found = seen_of(mixed(dtype), run)
    assert set(found) == set(known) == {"table.weight", "layer.weight", "mixing", "head.weight"}
    for name, matrix in found.items():
        assert matrix.importance.dtype == torch.float32, name
        exact = known[name].importance
        assert torch.allclose(matrix.importance, exact, rtol=0.05, atol=0.05 * float(exact.mean())), name
    small = prensa.compress_module(mixed(dtype), texts=IDS, run=run)
    with torch.no_grad():
        right = torch.cat([mixed()(batch) for batch in IDS])
        off = torch.cat([small.float()(batch) for batch in IDS]) - right
    assert 0 < off.square().mean() / right.var() < 0.01


class Mixture(nn.Module):
    """Sends each token to one of four experts, never to the last, and looks rare tokens up in a table apart."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(50, 16)
        self.rare = nn.Embedding(50, 16)
        self.experts = nn.ModuleList(nn.Linear(16, 16) for _ in range(4))
        self.head = nn.Linear(16, 3)

    def forward(self, ids, attention_mask=None):
        hidden = self.table(ids)
        hidden[ids > 50] += self.rare(ids[ids > 50])
        mixed = torch.zeros_like(hidden)
        for number, expert in enumerate(self.experts):
            chosen = ids % 3 == number
            mixed[chosen] = expert(hidden[chosen])
        return self.head(hidden + mixed)


def with_mask(module, batch):
    return module(batch, attention_mask=torch.ones_like(batch))


@pytest.mark.parametrize("is_quiet", [False, True], ids=["with gradients", "without"])
@pytest.mark.parametrize("run", [plainly, with_mask], ids=["no mask", "mask"])
def test_a_layer_that_is_given_no_rows_is_rounded_to_nearest(run, is_quiet, tmp_path):
    torch.manual_seed(0)
    module = Mixture().eval()
    # In the first batch all experts but one are idle.
    batches = [IDS[0] // 3 * 3, *IDS[1:]]
    small = prensa.compress_module(module, texts=batches, run=torch.no_grad()(run) if is_quiet else run)
    prensa.save(small, tmp_path / "out")
    notes = {report.name: report.note for report in prensa.inspect(tmp_path / "out").tensors if report.note}
    assert notes == dict.fromkeys(
        ("rare.weight", "experts.3.weight"), "no batch reached it, rounded to nearest"
    )
    with torch.no_grad():
        right = module(IDS[1])
        off = small(IDS[1]) - right
    assert 0 < off.square().mean() / right.var() < 0.05


class Language(nn.Module):
    """Multiplies its table: as a layer that is tied to it, or itself where there is ``no_layer``."""

    def __init__(self, *, no_layer):
        super().__init__()
        self.table = nn.Embedding(50, 16)
        self.layer = nn.Linear(16, 16)
        self.norm = nn.LayerNorm(16)
        if not no_layer:
            self.out = nn.Linear(16, 50, bias=False)
            self.out.weight = self.table.weight

    def forward(self, ids):
        hidden = self.table(ids)
        hidden = self.norm(hidden + torch.tanh(self.layer(hidden)))
        return self.out(hidden) if hasattr(self, "out") else hidden @ self.table.weight.t()


def cost_of(change, matrix):
    return float((matrix.importance * ((change @ matrix.moment.whole()) * change).sum(dim=1)).sum())


def test_a_table_that_is_multiplied_too_knows_both_of_its_uses():
    tables = []
    for no_layer in (False, True):
        torch.manual_seed(0)
        tables.append(seen_of(Language(no_layer=no_layer), plainly)["table.weight"])
    tied, alone = tables
    change = torch.randn(50, 16)
    assert cost_of(change, alone) == pytest.approx(cost_of(change, tied), rel=0.1)
    assert torch.allclose(alone.importance, tied.importance, rtol=0.4)


class Skipping(nn.Module):
    """Runs its expert for batches that have its tokens; otherwise not at all, or with no rows."""

    def __init__(self, *, skips):
        super().__init__()
        self.table = nn.Embedding(50, 16)
        self.expert = nn.Linear(16, 16)
        self.skips = skips

    def forward(self, ids):
        hidden = self.table(ids)
        chosen = ids >= 25
        if chosen.any() or not self.skips:
            hidden = hidden.masked_scatter(chosen[..., None], self.expert(hidden[chosen]))
        return hidden


def test_a_layer_that_the_first_batch_skips_counts_once():
    batches = [IDS[0] % 25, *IDS[1:]]
    found = []
    for skips in (False, True):
        torch.manual_seed(0)
        found.append(seen_of(Skipping(skips=skips), plainly, batches)["expert.weight"])
    assert found[0].importance.equal(found[1].importance)
    assert found[0].moment.whole().equal(found[1].moment.whole())
