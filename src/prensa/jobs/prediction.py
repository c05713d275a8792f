"""Answers to all texts of a file, a directory or a data set, written beside their columns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from prensa.checkpoint.checksum import model_digest
from prensa.checkpoint.locate import locate
from prensa.checkpoint.roles import load_config
from prensa.cluster.address import Workers, workers_from
from prensa.errors import DataError, SettingError
from prensa.files.atomic import at_home
from prensa.jobs.permissions import Permissions
from prensa.predicting.answers import Form, form_of
from prensa.predicting.contents import Content, content_of
from prensa.predicting.journal import Journal
from prensa.predicting.outputs import output_for
from prensa.predicting.run import Answerers, InProcess, Predicted, check_strictly, predict_all
from prensa.predicting.shards import Place, Shard, check_targets, find_places, unread_in
from prensa.predicting.windows import Columns
from prensa.predicting.workers import Settings, on_cluster
from prensa.progress import Progress, silent
from prensa.serving.engines import AUTO
from prensa.serving.exported import is_export
from prensa.serving.load import check_to_serve, load_to_serve
from prensa.serving.precisions import dtype_named, dtype_of
from prensa.serving.waiting import TOKENS
from prensa.texts.cells import refuse_numbers
from prensa.texts.columns import Texts, text_columns
from prensa.texts.label_columns import columns_named
from prensa.texts.names import join_names, quoted
from prensa.texts.source import Source, as_source

_PAIR = 2
# What the journal calls the runtime and its precision.
_RUNTIME = "runtime"


@dataclass(frozen=True)
class Prediction:
    """What to answer, and how: the parameters of :func:`prensa.predict`."""

    model: str | Path
    output: str | Path
    data: Source | str | Path
    columns: str | Sequence[str] | None = None
    prefix: str = ""
    all_scores: bool = False
    runtime: str = AUTO
    precision: str | None = None
    max_batch_tokens: int = TOKENS
    strict: bool = False
    force: bool = False
    on: str | None = None
    workers: int | None = None
    worker_cpus: int | None = None
    permissions: Permissions = Permissions()

    def plan(self, progress: Progress = silent) -> PredictionPlan:
        """Look all input through, and find out whether it can be done. Reads no weights but for a digest.

        Raises the :class:`~prensa.errors.PrensaError` that says what does not fit.
        """
        source = as_source(self.data)
        self._check(source)
        with self.permissions.granted():
            directory = locate(self.model)
            check_to_serve(directory, self.runtime, dtype_of(self.precision))
            form = form_of(
                directory,
                load_config(directory),
                self.prefix,
                all_scores=self.all_scores,
                is_strict=self.strict,
            )
            output = at_home(self.output).absolute()
            places = find_places(source.name, output)
            # Before anything is read: an output that exists is a slip of the hand.
            journal = Journal(output, self._facts(directory, source), places)
            check_targets(places, output, journal.ours, force=self.force)
            shards = []
            for number, place in enumerate(places):
                progress("reading", number, len(places))
                shards.append(self._shard(place, source, form))
            progress("reading", len(places), len(places))
            if not any(shard.content.count for shard in shards):
                raise DataError(f"{source.name}: empty, expected at least one text")
            if self.strict:
                for shard in shards:
                    check_strictly(shard)
            return PredictionPlan(self, directory, form, tuple(shards), output, journal)

    def _check(self, source: Source) -> None:
        self.on_workers()
        if self.max_batch_tokens < 1:
            raise SettingError(f"`max_batch_tokens` must be at least 1, found {self.max_batch_tokens}")
        others = {"limit": source.limit, "label_column": source.label_column or None, "labels": source.labels}
        for name, value in others.items():
            if value is not None:
                raise SettingError(f"`{name}`: all texts are answered, whatever their labels; leave it out")

    def on_workers(self) -> Workers | None:
        """Return the workers of a cluster that answer; None where this process does.

        Raises :class:`SettingError` for an address or numbers that cannot be, and
        :class:`~prensa.errors.MissingPackageError` without Ray.
        """
        return workers_from(self.on, self.workers, self.worker_cpus)

    def _facts(self, directory: Path, source: Source) -> dict[str, str]:
        """Return what the answers follow from, by the words of a message."""
        options = [self.all_scores, self.prefix, join_names(self.columns), self.strict]
        options += [source.text_option, source.encoding, source.split, self.precision]
        return {"model": model_digest(directory), "set of options": json.dumps(options)}

    def _shard(self, place: Place, source: Source, form: Form) -> Shard:
        content = content_of(place.source, source)
        if not content.names:
            raise DataError(f"{place.source}: empty, expected at least one text")
        texts = text_columns(content.first, source.text_option)
        # Numbers that were not named as texts are more likely ids, or labels.
        if source.text_column is None:
            refuse_numbers(content.first, texts[0])
        if (len(texts) == _PAIR) != (form.wanted == "questions") and form.wanted != "texts":
            expected = "two columns, question and context" if form.wanted == "questions" else "one column"
            raise SettingError(f"`text_column`: the model reads {expected}, found {quoted(texts)}")
        kept = self._kept(content)
        names = [column.name for column in form.columns]
        taken = [name for name in names if name in kept]
        if taken:
            raise DataError(
                f"{content.first.name}: has a column {taken[0]!r}, as the answers will; give a `prefix` for "
                f"those, such as predicted_, or leave it out of `columns`"
            )
        output = output_for(place.target, content, kept, form.columns)
        return Shard(place, content, Columns(texts, kept), output)

    def _kept(self, content: Content) -> tuple[str, ...]:
        wanted = join_names(self.columns)
        if wanted is None:
            return content.names
        if not wanted.strip():
            return ()
        return tuple(dict.fromkeys(columns_named(content.first, wanted, "columns to keep")))


@dataclass(frozen=True)
class PredictionPlan:
    """Answers that can be given. ``journal`` says what a stopped run has done of them."""

    job: Prediction
    directory: Path
    form: Form
    shards: tuple[Shard, ...]
    output: Path
    journal: Journal

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know before it runs: what was read of each kind of file, and what is done."""
        notes = []
        for shard in self.shards[:1]:
            unusual = ""
            if shard.content.first.notes:
                unusual = f" ({', '.join(shard.content.first.notes)})"
            notes.append(f"{shard.content.first.name}: texts in {quoted(shard.columns.texts)}{unusual}")
        if len(self.shards) > 1:
            rows = sum(shard.content.count for shard in self.shards)
            notes.append(f"{len(self.shards):,} files, {rows:,} rows")
        # Of a data set's directory all files are read.
        unread: list[str] = []
        if not any(shard.place.source.is_dir() for shard in self.shards):
            unread = unread_in(as_source(self.job.data).name)
        if unread:
            more = f" and {len(unread) - 1:,} more" if len(unread) > 1 else ""
            notes.append(f"not read, being of another kind: {unread[0]}{more}")
        if self.journal.rows:
            notes.append(f"{self.journal.rows:,} rows were answered before; going on behind them")
        return tuple(notes)

    def run(self, progress: Progress = silent) -> Predicted:
        """Load the model and answer. What is stopped is kept, and gone on with by the same job.

        Raises the :class:`~prensa.errors.PrensaError` that says what went wrong on the way.
        """
        job = self.job
        with job.permissions.granted(), self.journal.kept(), self._answerers(progress) as answerers:
            return predict_all(
                self.shards,
                answerers,
                self.form,
                self.journal,
                self.output,
                progress,
                force=job.force,
            )

    @contextmanager
    def _answerers(self, progress: Progress) -> Iterator[Answerers]:
        """Load the model, here or on a cluster, and make sure that it is run as before."""
        job = self.job
        (runtime, dtype), texts = self._runtime(), self._some_texts()
        workers = job.on_workers()
        if workers is None:
            served = load_to_serve(self.directory, runtime=runtime, dtype=dtype, texts=texts)
            self._know(served.record.runtime, served.record.precision)
            yield InProcess(served, self.form, job.max_batch_tokens)
            return
        settings = Settings(runtime, dtype, texts, job.max_batch_tokens)
        digest = self.journal.facts["model"]
        with on_cluster(workers, self.directory, self.form, settings, digest, progress) as cluster:
            self._know(cluster.loaded.runtime, cluster.loaded.precision)
            yield cluster

    def _runtime(self) -> tuple[str, str | None]:
        """Return the runtime, and what loading calls its precision: as a stopped run had chosen them.

        A measurement may choose others now, or on another machine, and one file has one runtime's answers.
        """
        job = self.job
        chosen = self.journal.facts.get(_RUNTIME)
        if job.runtime != AUTO or chosen is None or is_export(self.directory):
            return job.runtime, dtype_of(job.precision)
        runtime, precision = chosen.split()
        return runtime, dtype_named(precision)

    def _know(self, runtime: str, precision: str) -> None:
        self.journal.know(_RUNTIME, f"{runtime} {precision}")

    def _some_texts(self) -> Texts | None:
        """Return texts to choose the runtime by: their lengths count."""
        texts: list[str] = []
        pairs: list[str] = []
        first = self.shards[0]
        columns = [first.content.first.columns[name] for name in first.columns.texts]
        for cells in zip(*columns, strict=True):
            strings = [cell for cell in cells if isinstance(cell, str)]
            if len(strings) == len(columns):
                texts.append(strings[0])
                pairs.append(strings[-1])
        if not texts:
            return None
        return Texts("texts", tuple(texts), tuple(pairs) if len(columns) == _PAIR else None)
