"""``prensa.load``: one model, or a small one before its original."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from prensa.errors import SettingError
from prensa.serving import load as serving
from prensa.serving.engines import AUTO
from prensa.texts.source import Source

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from prensa.serving.served import Served


def load(  # noqa: PLR0913  each of them is a parameter of the public function
    path: str | Path,
    *,
    runtime: str | None = None,
    device: str = "cpu",
    dtype: str | torch.dtype | None = None,
    texts: Source | Path | Iterable[object] | None = None,
    then: str | Path | None = None,
    min_agreement: float | str | None = None,
    threshold: float | None = None,
    allow_new_head: bool = False,
    trust_remote_code: bool = False,
    **settings: object,
) -> PreTrainedModel | Served:
    """Load a pressed, an original or an exported model with the head it was saved with.

    Without ``runtime`` it is a PyTorch model as ``from_pretrained`` gives it, also to train; ``dtype`` and
    ``settings`` go there. (An export comes in its own runtime.) With one it is ready to answer (see
    :class:`~prensa.serving.served.Served`), and ``transformers.pipeline`` takes it:

    ``torch``        on ``device``, folded where that is faster; in bfloat16 where that is fast, unless
                     ``dtype`` says otherwise; ``"int8"`` multiplies linear layers in 8 bits where that is
                     faster still
    ``openvino``     from ``prensa export``, or exported on the spot into the user's cache
    ``onnxruntime``  likewise
    ``auto``         the fastest of those installed that gives PyTorch's answers, measured for a second
                     the first time; with ``dtype="int8"`` of those in 8 bits, on any processor

    What is faster depends on the lengths of texts: give some of yours as ``texts``. What was measured is kept
    in the user's cache, by processor, versions, model and lengths.

    ``then`` names the original of a classifier in ``path``: that one answers where it is sure, and passes
    the other texts on (see :class:`~prensa.serving.cascade.Cascade`; ``runtime`` is then ``auto``).
    ``min_agreement`` (0.99 or ``"99%"``) has the threshold chosen so that as many answers are the
    original's, on one half of ``texts``, and confirmed on the other; labels are not needed, and a file or a
    :class:`~prensa.texts.source.Source` will do, too. ``threshold`` of what is returned can be given the
    next time in its place.

    A model whose names or class do not fit is refused: ``allow_new_head`` takes one whose head has no
    weights, ``trust_remote_code`` runs the model's own code.

    Raises a :class:`~prensa.errors.PrensaError` where that cannot be done.
    """
    if then is None:
        check_alone(min_agreement=min_agreement, threshold=threshold)
        if isinstance(texts, (Source, Path)):
            raise SettingError("`texts` takes a list of texts; a file or a `Source` only with `then`")
        return serving.load(
            path,
            runtime=runtime,
            device=device,
            dtype=dtype,
            texts=texts,
            allow_new_head=allow_new_head,
            trust_remote_code=trust_remote_code,
            **settings,
        )
    serving.check_no_settings(settings)
    # Imported here: loading one model needs none of what judges two.
    from prensa.jobs.cascading import Cascading
    from prensa.jobs.permissions import Permissions

    job = Cascading(
        path,
        then,
        min_agreement=min_agreement,
        threshold=threshold,
        texts=texts,
        runtime=runtime or AUTO,
        device=device,
        dtype=dtype,
        permissions=Permissions(allow_new_head, trust_remote_code),
    )
    return job.plan().run()


def check_alone(**settings: object) -> None:
    """Raise :class:`SettingError` for settings of a cascade, where there is none: those that are not None."""
    for name, value in settings.items():
        if value is not None:
            raise SettingError(f"`{name}` needs `then`, the model that answers what this one is not sure of")
