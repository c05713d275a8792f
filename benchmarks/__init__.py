"""One command for each claim: ``python -m benchmarks.NAME`` measures and writes ``results/NAME.json``."""
