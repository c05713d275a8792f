"""Queries and passages on disk, in BEIR's layout and as a table; made by rule, with answers that are known."""

import json

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def write_beir(directory, queries, passages, grades, split="test"):
    """Write a data set: texts by their ids, and lines of grades."""
    (directory / "qrels").mkdir(parents=True, exist_ok=True)
    for name, texts in (("queries", queries), ("corpus", passages)):
        lines = [json.dumps({"_id": each, "text": text}) for each, text in texts.items()]
        (directory / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    lines = ["\t".join(map(str, line)) for line in [("query-id", "corpus-id", "score"), *grades]]
    (directory / "qrels" / f"{split}.tsv").write_text("\n".join(lines) + "\n")
    return directory


def some_beir(directory, queries=48, passages=60, split="test"):
    """Write queries of a few letters; relevant are two passages that begin with a letter of theirs."""
    of_queries = {f"q{n}": f"{LETTERS[n % 26]} {LETTERS[n * 7 % 26]} {n}" for n in range(queries)}
    of_passages = {f"p{n}": f"{LETTERS[n % 26] * 3} {LETTERS[n * 5 % 26]} {n}" for n in range(passages)}
    grades = []
    for n in range(queries):
        grades += [
            (f"q{n}", f"p{n % 26}", 2),
            (f"q{n}", f"p{n * 7 % 26 + 26}", 1),
            (f"q{n}", f"p{(n + 3) % 26}", 0),
        ]
    return write_beir(directory, of_queries, of_passages, grades, split)
