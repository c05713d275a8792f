"""Entities and answers to questions: the pipeline's, also out of other runtimes."""

import numpy as np
import pytest
import torch
import transformers
from tests.bert import bert

import prensa
from prensa.errors import DataError
from prensa.serving.answers import Window
from prensa.serving.spans import entities

LABELS = ("O", "B-X", "I-X", "B-Y", "I-Y", "Z")
CONTEXT = "no one knows whether it has what we look for; the rest of it is only there to be long"


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    names = dict(enumerate(LABELS))
    settings = {"id2label": names, "label2id": {name: index for index, name in names.items()}}
    return bert(tmp_path_factory.mktemp("tagger") / "model", "BertForTokenClassification", **settings)


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    return bert(tmp_path_factory.mktemp("reader") / "model", "BertForQuestionAnswering")


def serve(path):
    return prensa.load(path, runtime="torch", dtype="float32")


def test_entities_are_those_of_the_pipeline(tagger):
    texts = ["a few words", "", "  More, of them!  ", CONTEXT, "x"]
    pipeline = transformers.pipeline("token-classification", model=str(tagger), aggregation_strategy="simple")
    kinds = set()
    for text, answer in zip(texts, serve(tagger).predict(texts, batch_size=2), strict=True):
        right = pipeline(text) if text else []
        assert [(span.label, span.start, span.end) for span in answer.spans] == [
            (each["entity_group"], each["start"], each["end"]) for each in right
        ]
        np.testing.assert_allclose(
            [span.score for span in answer.spans], [each["score"] for each in right], atol=1e-5
        )
        assert all(span.text == text[span.start : span.end] for span in answer.spans)
        assert answer.output.shape[1] == len(LABELS)
        assert answer.scores == {}
        kinds |= {span.label for span in answer.spans}
    assert len(kinds) > 1


def test_groups_of_labels():
    tags = ["O", "B-X", "I-X", "I-X", "B-X", "I-Y", "O", "Z", "Z"]
    logits = np.array([[9.0 * (label == tag) for label in LABELS] for tag in tags], dtype=np.float32)
    offsets = [(at, at + 1) for at in range(len(tags))]
    asked = Window({"input_ids": [0] * len(tags)}, 0, offsets, [True] * len(tags))
    found = entities("012345678", asked, logits, LABELS)
    assert [(span.label, span.text) for span in found] == [("X", "123"), ("X", "4"), ("Y", "5"), ("Z", "78")]


def test_the_pipeline_takes_a_served_tagger(tagger):
    served = serve(tagger)
    settings = {"aggregation_strategy": "simple"}
    fast = transformers.pipeline("token-classification", model=served, tokenizer=served.tokenizer, **settings)
    right = transformers.pipeline("token-classification", model=str(tagger), **settings)
    for one, other in zip(fast(CONTEXT[:30]), right(CONTEXT[:30]), strict=True):
        assert one["score"] == pytest.approx(other["score"], abs=1e-5)


def best_span(path, question, context):
    """Try every span of one window."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    model = transformers.BertForQuestionAnswering.from_pretrained(path).eval()
    read = tokenizer(question, context, return_tensors="pt")
    offsets = tokenizer(question, context, return_offsets_mapping=True)["offset_mapping"]
    with torch.no_grad():
        output = model(**read)
    inside = [at for at, own in enumerate(read.sequence_ids(0)) if own == 1]
    kept = [0, *inside]  # the mark at the start takes part, and is no answer
    start, end = (each[0][kept].softmax(0)[1:] for each in (output.start_logits, output.end_logits))
    spans = [
        (float(start[i] * end[j]), offsets[inside[i]][0], offsets[inside[j]][1])
        for i in range(len(inside))
        for j in range(i, min(i + 15, len(inside)))
    ]
    return max(spans)


def test_the_likeliest_span_is_the_answer(reader):
    questions = [("who", "n o o n e"), ("a long question", "a b"), ("?", "x y z . ,")]
    asked = [{"question": question, "context": context} for question, context in questions]
    for (question, context), answer in zip(questions, serve(reader).predict(asked), strict=True):
        (span,) = answer.spans
        score, start, end = best_span(reader, question, context)
        assert (span.start, span.end, span.label) == (start, end, "")
        assert span.text == context[start:end]
        assert span.score == pytest.approx(score, abs=1e-5)
        assert answer.output.shape[1] == 2


def test_an_answer_is_made_of_whole_words(reader):
    (answer,) = serve(reader).predict([("who", "several words")])
    ends = {0, len("several"), len("several "), len("several words")}
    assert {answer.spans[0].start, answer.spans[0].end} <= ends


def test_a_long_context_is_read_in_windows(reader):
    served = serve(reader)
    (whole,) = served.predict([("who", CONTEXT)])
    (span,) = whole.spans
    assert CONTEXT[span.start : span.end] == span.text
    letters = [at for at in range(len(CONTEXT)) if CONTEXT[at] != " "]  # a token each
    scores = []
    tokenizer = served.tokenizer
    found = tokenizer(
        "who", CONTEXT, truncation="only_second", max_length=32, stride=16, return_overflowing_tokens=True
    )
    assert len(found["input_ids"]) > 3
    assert sum(map(len, found["input_ids"])) > len(letters)
    for at in range(len(found["input_ids"])):
        offsets = [chars for chars in found[at].offsets if chars != (0, 0)][3:]
        part = CONTEXT[offsets[0][0] : offsets[-1][1]]
        scores.append(next(served.predict([("who", part)])).spans[0].score)
    assert span.score == pytest.approx(max(scores), abs=1e-5)


def test_no_context_no_answer(reader):
    (answer,) = serve(reader).predict([{"question": "who", "context": ""}])
    assert answer.spans == ()


@pytest.mark.parametrize(
    "wrong", ["a text", {"text": "a", "text_pair": "b"}, {"question": "a"}, ("a", "b", "c")]
)
def test_what_is_no_question(reader, wrong):
    with pytest.raises(DataError, match="input 1: expected .*question"):
        list(serve(reader).predict([("a", "b"), wrong]))


def test_a_question_that_leaves_no_room(reader):
    with pytest.raises(DataError, match="input 0: the question has 30 tokens, and the model reads 32"):
        list(serve(reader).predict([("q" * 30, "b")]))


def test_words_are_no_pairs(tagger):
    with pytest.raises(DataError, match="input 0: expected a text, found a tuple of 2"):
        list(serve(tagger).predict([("a", "b")]))


def test_there_are_no_built_in_questions(reader):
    with pytest.raises(DataError, match="answers questions, and there are none among them; give `data`"):
        prensa.evaluate(reader, reader)


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_other_runtimes_give_starts_and_ends_of_pairs(reader, tmp_path, runtime):
    """The tokenizer numbers the second text's tokens 1, and these numbers count."""
    pytest.importorskip(runtime, reason=f"needs {runtime}")
    record = prensa.export(reader, tmp_path / "export", to=runtime, precision="fp32")
    assert "token_type_ids" in record.inputs
    served, right = prensa.load(tmp_path / "export"), prensa.load(reader).eval()
    inputs = served.tokenizer([("who", "a b c"), ("why not", "d")], padding=True, return_tensors="pt")
    assert inputs["token_type_ids"].any()
    found = served(**inputs)
    with torch.no_grad():
        wanted, without = right(**inputs), right(**{**inputs, "token_type_ids": inputs["token_type_ids"] * 0})
    for name in ("start_logits", "end_logits"):
        np.testing.assert_allclose(found[name], wanted[name], atol=1e-4)
        assert not np.allclose(found[name], without[name], atol=1e-2)
    asked = [("who", CONTEXT), ("why", "d e f")]
    for one, other in zip(served.predict(asked), serve(reader).predict(asked), strict=True):
        assert [(span.start, span.end) for span in one.spans] == [(s.start, s.end) for s in other.spans]
