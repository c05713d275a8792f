"""The classic script's interface, kept whole: same names, same defaults, same meaning.

``apply_quantization`` converts to float16, prunes, zeroes what is near zero, quantizes the linear layers
for bitsandbytes, and leaves in the output directory the safetensors model, the same weights as
``model_optimized.pt``, and the tokenizer files.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prensa.classic.arguments import Parser
from prensa.cli.guard import guarded
from prensa.errors import OutputError
from prensa.extras import require

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from prensa.passes import Pass

_SCRIPT = "quantization_code.py"


def apply_quantization(
    model_path: str | Path,
    output_path: str | Path | None = None,
    pruning: bool = True,  # noqa: FBT001, FBT002
    pruning_amount: float = 0.3,
    use_bnb: bool = True,  # noqa: FBT001, FBT002
    compress: bool = True,  # noqa: FBT001, FBT002
    threshold: float = 1e-3,
    texts: str | Path | None = None,
) -> PreTrainedModel:
    """Optimize a model and return it, loaded.

    ``output_path`` defaults to ``model_path``: the model is then replaced, in one step. ``pruning`` zeroes
    ``pruning_amount`` of each linear layer, ``compress`` zeroes weights smaller than ``threshold``,
    ``use_bnb`` stores linear layers in 8 bits; without it the result is a float16 model. With ``texts`` (a
    file or a data set) what is pruned and rounded is chosen by what those texts need, in the same files.

    Raises :class:`MissingPackageError` if ``use_bnb`` is set and bitsandbytes is not
    installed, before anything is read, and any other :class:`PrensaError` with nothing changed.
    """
    if use_bnb:
        require("bitsandbytes", "use_bnb (--use_bnb False gives a float16 model)")
    from prensa.cli.progress import stages
    from prensa.isolation import as_usual
    from prensa.jobs.compression import Compression
    from prensa.passes import Half, Threshold
    from prensa.pressing.recipe import Recipe
    from prensa.runtime.torch import load

    is_calibrated = texts is not None
    passes: list[Pass] = [Half()]
    if pruning:
        passes.append(_pruning(pruning_amount, is_calibrated=is_calibrated))
    if compress:
        passes.append(Threshold(threshold=threshold))
    form = "plain"
    if use_bnb:
        form = "bitsandbytes"
        passes.append(_rounding(is_calibrated=is_calibrated))
    recipe = Recipe(tuple(passes), format=form, state_dict=True)
    if output_path is None:
        # The model is replaced, so it must be a directory and not a name on the hub.
        if not Path(model_path).expanduser().exists():
            raise OutputError(f"{model_path}: no such directory to replace; give an output path")
        output_path = model_path
    job = Compression(model_path, output_path, recipe=recipe, texts=texts, force=True)
    with stages() as progress:
        plan = job.plan(progress)
        plan.run(progress)
    with as_usual():
        return load(plan.output)


def _pruning(amount: float, *, is_calibrated: bool) -> Pass:
    """Prune by magnitude, or with texts by what their outputs need."""
    from prensa.passes import Prune, Sparsegpt

    if is_calibrated:
        return Sparsegpt(amount=amount)
    return Prune(amount=amount)


def _rounding(*, is_calibrated: bool) -> Pass:
    """Round to 8 bits, or with texts as finely, with what is lost made up for by other weights."""
    from prensa.passes import Gptq, Quantize
    from prensa.passes.gptq import LEAST_NOISE

    if is_calibrated:
        return Gptq(noise=LEAST_NOISE, targets=Quantize().targets)
    return Quantize()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the classic command line."""
    options = _parser().parse_args(arguments)

    def optimize() -> None:
        model = apply_quantization(**vars(options))
        output = options.output_path or options.model_path
        sys.stdout.write(f"Optimized model ({type(model).__name__}) written to {output}\n")

    guarded(_SCRIPT, optimize)


def _parser() -> Parser:
    parser = Parser(prog=_SCRIPT, description=apply_quantization.__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--model_path", required=True, help="model directory or hub name")
    parser.add_argument("--output_path", help="directory to write (default: the model path)")
    parser.add_argument("--texts", help="texts to calibrate on, a file or a data set (default: none)")
    parser.add_argument("--pruning_amount", type=float, default=0.3, help="default: 0.3")
    parser.add_argument("--threshold", type=float, default=1e-3, help="default: 1e-3")
    for flag in ("pruning", "use_bnb", "compress"):
        parser.add_argument(
            f"--{flag}", nargs="?", type=_boolean, const=True, default=True, help="default: True"
        )
        parser.add_argument(f"--no-{flag}", dest=flag, action="store_false", help=argparse.SUPPRESS)
    return parser


def _boolean(word: str) -> bool:
    values = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if word.lower() not in values:
        raise argparse.ArgumentTypeError(f"expected True or False, found {word!r}")
    return values[word.lower()]
