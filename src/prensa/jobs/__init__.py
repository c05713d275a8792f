"""What was asked for, as one value each.

The command line, the public functions and the classic scripts all build the same ones.

A job has ``plan()``, which reads configs, headers, tokenizers and texts and fails there if it can, and
``run()`` on what ``plan()`` returns.
"""
