"""``prensa serve``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from prensa.cli.options import (
    Encoding,
    Limit,
    Model,
    NewHead,
    On,
    RemoteCode,
    TextColumn,
    WorkerCpus,
)
from prensa.errors import SettingError

if TYPE_CHECKING:
    from prensa.cluster.address import Workers
    from prensa.jobs.cascading import CascadingPlan
    from prensa.jobs.permissions import Permissions
    from prensa.server.front import Front
    from prensa.server.on_ray import ToServe
    from prensa.serving.served import Served
    from prensa.texts.source import Source


def serve(  # noqa: PLR0913  one parameter for each option
    model: Model,
    *,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines ask.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 8080,
    name: Annotated[str | None, typer.Option(help="Name in /v2/models/NAME. [default: the model's]")] = None,
    runtime: Annotated[str, typer.Option(help="auto, torch, openvino or onnxruntime.")] = "auto",
    precision: Annotated[
        str | None,
        typer.Option(help="int8, bf16 or fp32; an export has its own. [default: the fastest without int8]"),
    ] = None,
    then: Annotated[
        str | None,
        typer.Option(
            help="The original: answers the texts that MODEL, a smaller classifier, is not sure of."
        ),
    ] = None,
    min_agreement: Annotated[
        str | None, typer.Option(help="With --then: least share of the original's answers, such as 99%.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="With --then: a threshold that --min-agreement has chosen before.")
    ] = None,
    texts: Annotated[
        str | None, typer.Option(help="Texts to choose the threshold on: a file or a data set, no labels.")
    ] = None,
    text_column: TextColumn = None,
    split: Annotated[
        str | None, typer.Option(help="Part of the data set in --texts. [default: test or validation]")
    ] = None,
    encoding: Encoding = None,
    limit: Limit = None,
    workers: Annotated[int, typer.Option(help="Batches that run at the same time.")] = 1,
    max_batch_tokens: Annotated[int, typer.Option(help="Tokens of a batch, padding included.")] = 4096,
    max_wait: Annotated[str, typer.Option(help="How long a batch waits for more texts.")] = "5ms",
    max_queue: Annotated[int, typer.Option(help="Texts that wait at most; more are refused (429).")] = 1024,
    max_texts: Annotated[int, typer.Option(help="Texts of a request at most (413).")] = 128,
    max_body: Annotated[str, typer.Option(help="Size of a request at most (413).")] = "2MB",
    timeout: Annotated[str, typer.Option(help="Time for a request, waiting included (504).")] = "30s",
    truncate: Annotated[
        bool,
        typer.Option("--truncate", help="Truncate texts that are too long instead of refusing them (413)."),
    ] = False,
    api_key_file: Annotated[
        Path | None, typer.Option(help="File with the key that clients must send; no one else may read it.")
    ] = None,
    on: On = None,
    replicas: Annotated[
        int | None,
        typer.Option(help="With --on: servers of the model. [default: as many as there is room for]"),
    ] = None,
    worker_cpus: WorkerCpus = None,
    allow_new_head: NewHead = False,
    trust_remote_code: RemoteCode = False,
) -> None:
    """Serve a model over HTTP, to clients of TEI, Hugging Face Inference and the Open Inference Protocol.

    Texts of all clients are answered together with those of like length. The page at / tries the model.

    With --then two models answer as one: what MODEL is not sure of goes on to the original. The threshold
    is chosen on one half of --texts and confirmed on the other.

    With --on several replicas answer, by Ray Serve on the machines of a cluster.
    """
    from prensa.extras import require

    require("serve", "serving over HTTP")
    from prensa.checkpoint.hub_names import model_name
    from prensa.checkpoint.locate import locate
    from prensa.jobs.permissions import Permissions
    from prensa.server.app import Service
    from prensa.server.key import Key, read_key
    from prensa.server.limits import Limits
    from prensa.server.run import address_of, bind, run
    from prensa.serving.load import check_to_serve, load_to_serve
    from prensa.serving.precisions import dtype_of
    from prensa.texts.source import Source

    limits = Limits(
        workers=workers,
        max_batch_tokens=max_batch_tokens,
        max_wait=max_wait,
        max_queue=max_queue,
        max_texts=max_texts,
        max_body=max_body,
        timeout=timeout,
        truncate=truncate,
    )
    dtype = dtype_of(precision)
    key = None if api_key_file is None else Key(read_key(api_key_file))
    permissions = Permissions(allow_new_head, trust_remote_code)
    cluster = _workers(on, replicas, worker_cpus, then)
    source = Source(texts, text_column, "", split, limit, encoding)
    cascade = _cascade(model, then, min_agreement, threshold, source, runtime, dtype, permissions)
    with permissions.allowing():
        directory = locate(model)
        check_to_serve(directory, runtime, dtype)
        service = Service(name or model_name(directory), limits, key)
        if cluster is not None:
            from prensa.server.on_ray import ToServe

            _serve_on(cluster, ToServe(directory, service.name, limits, key, runtime, dtype), host, port)
            return
        listening = bind(host, port)
        address = address_of(listening)
        typer.echo(f"Listening on {address}; loading {model}", err=True)

        def load() -> Served:
            if cascade is None:
                return load_to_serve(directory, runtime=runtime, dtype=dtype)
            both = cascade.run()
            typer.echo(both.account or f"threshold {both.threshold:g}", err=True)
            return both

        def ready(front: Front) -> None:
            record = front.served.record
            typer.echo(f"{service.name} answers on {address} ({record.runtime}, {record.precision})")

        run(service, listening, load, ready)


def _workers(
    on: str | None, replicas: int | None, worker_cpus: int | None, then: str | None
) -> Workers | None:
    """Return the workers of a cluster that answer; None where this process does.

    Raises :class:`SettingError` for options that do not go together, and
    :class:`~prensa.errors.MissingPackageError` without Ray Serve.
    """
    from prensa.cluster.address import workers_from

    if replicas is not None and (on is None or replicas < 1):
        found = "" if on is None else f", at least 1, found {replicas}"
        raise SettingError(f"`replicas`: servers of a cluster; give `on=ray`, too{found}")
    workers = workers_from(on, replicas, worker_cpus, "ray-serve")
    if workers is not None and then is not None:
        raise SettingError("`then`: a cluster serves one model alone; leave `on` or `then` out")
    return workers


def _serve_on(workers: Workers, served: ToServe, host: str, port: int) -> None:
    from prensa.server.on_ray import run_on_ray
    from prensa.server.run import address_of, bind

    # Ray says nothing of a port that is taken, and knows none that is free.
    with bind(host, port) as listening:
        address = address_of(listening)
        port = listening.getsockname()[1]
    typer.echo(f"Starting on the cluster; loading {served.directory}", err=True)

    def ready(count: int) -> None:
        replicas = "1 replica" if count == 1 else f"{count} replicas"
        typer.echo(f"{served.name} answers on {address} ({replicas})")

    run_on_ray(served, workers, host, port, ready)


def _cascade(
    model: str,
    then: str | None,
    min_agreement: str | None,
    threshold: float | None,
    texts: Source,
    runtime: str,
    dtype: str | None,
    permissions: Permissions,
) -> CascadingPlan | None:
    """See whether two models can answer as one; None where there is one alone.

    Raises what :meth:`Cascading.plan` raises.
    """
    from prensa.jobs.load import check_alone
    from prensa.texts.source import Source

    if then is None:
        check_alone(
            min_agreement=min_agreement,
            threshold=threshold,
            texts=texts.name,
            text_column=texts.text_column,
            split=texts.split,
            encoding=texts.encoding,
            limit=texts.limit,
        )
        return None
    # What judges two models is imported for two alone.
    from prensa.jobs.cascading import Cascading

    job = Cascading(
        model,
        then,
        min_agreement=min_agreement,
        threshold=threshold,
        # Columns of no file are refused where texts are read.
        texts=None if texts == Source(label_column="") else texts,
        runtime=runtime,
        dtype=dtype,
        permissions=permissions,
    )
    return job.plan()
