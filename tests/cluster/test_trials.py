"""Calibration and budgets on a cluster: the same bytes as in this process, in as many parts."""

import dataclasses

import pytest
import torch
from tests.conftest import directory_bytes, leftovers

import prensa
from prensa.calibration.collect import collect
from prensa.calibration.plan import plan_calibration
from prensa.cluster.tasks import OnCluster
from prensa.errors import DeviceError, ModelError, SettingError
from prensa.jobs.scale import Scale
from prensa.search.frontier import measure_frontier
from prensa.texts.library import Library
from prensa.texts.source import Source


def test_a_calibration_in_slices_gives_the_same_bytes_here_and_there(joined_nodes, original, texts):
    plan = plan_calibration(original, Source(texts, limit=60), library=Library())
    plan = dataclasses.replace(
        plan, batches=[batch for one in plan.batches for batch in halves(one)], slices=3
    )
    here = collect(plan)
    there = collect(plan, tasks=OnCluster(joined_nodes, 2, 1))
    assert sorted(here.matrices) == sorted(there.matrices)
    for name, matrix in here.matrices.items():
        assert all(map(torch.equal, matrix.moment.strips, there.matrices[name].moment.strips)), name
        assert torch.equal(matrix.importance, there.matrices[name].importance), name


def halves(batch):
    return [part for part in (batch[::2], batch[1::2]) if part]


def test_a_budget_ends_at_the_same_bytes_though_a_node_goes(nodes, original, texts, tmp_path, few_resamples):
    settings = {"data": texts, "min_agreement": 0.9, "calibration_slices": 2, "trials_at_once": 3}
    told = []
    plain = prensa.compress(
        original, tmp_path / "plain", on_trial=lambda trial, held: told.append((trial, held)), **settings
    )
    told_there = []
    second = nodes.add_node(num_cpus=2, object_store_memory=100 << 20)

    def tell(trial, held):
        told_there.append((trial, held))
        if len(told_there) == 2:
            # With the trials that it is at.
            nodes.remove_node(second, allow_graceful=False)

    there = prensa.compress(original, tmp_path / "there", on="ray:auto", on_trial=tell, **settings)
    assert plain.held
    assert there.held
    assert told == told_there
    assert len(told) > 3
    assert directory_bytes(tmp_path / "plain") == directory_bytes(tmp_path / "there")
    assert not leftovers(tmp_path)


def test_a_frontier_has_the_same_points(nodes, original, texts, tmp_path, few_resamples, monkeypatch):
    monkeypatch.setattr("prensa.search.frontier._PRESETS", ("half",))
    monkeypatch.setattr("prensa.search.frontier.is_installed", lambda name: False)
    settings = {"data": texts, "noises": (0.002, 0.03), "scale": Scale(calibration_slices=2)}
    plain = prensa.Exploration(original, tmp_path / "plain", **settings).plan().run()
    settings["scale"] = Scale("ray:auto", calibration_slices=2)
    there = prensa.Exploration(original, tmp_path / "there", **settings).plan().run()
    assert there.points == plain.points
    assert there.missing == plain.missing
    assert [point.name for point in plain.points] == ["noise 0.002", "noise 0.03", "half"]


def test_a_frontier_keeps_its_points_where_workers_end(original, texts, tmp_path, few_resamples, monkeypatch):
    monkeypatch.setattr("prensa.search.frontier._PRESETS", ("half",))
    monkeypatch.setattr("prensa.search.frontier.is_installed", lambda name: False)
    exploration = prensa.Exploration(original, tmp_path / "out", data=texts, noises=(0.002, 0.03))
    plan = exploration.plan()

    def measured(points):
        tasks = Ending(points)
        return measure_frontier(
            plan.pressing, plan.calibration, plan.judge, noises=(0.002, 0.03), tasks=tasks
        )

    frontier = measured(2)
    assert [point.name for point in frontier.points] == ["noise 0.002", "noise 0.03"]
    assert frontier.missing[-1] == "half (workers end)"
    assert not frontier.interrupted
    with pytest.raises(DeviceError, match="workers end"):
        measured(0)


class Ending:
    """Tasks of which the first so many are done; then there are no workers any more."""

    def __init__(self, points):
        self.points = points

    def map(self, function, shared, items):
        # Statistics are collected first, in one item.
        for number, item in enumerate(items):
            if number == self.points and len(items) > 1:
                raise DeviceError("workers end")
            yield function(shared, item)


def test_a_device_that_workers_do_not_have(original, texts, tmp_path):
    pytest.importorskip("ray")
    for job in (
        lambda: prensa.compress(original, tmp_path / "out", texts=texts, on="ray", device="cuda"),
        lambda: prensa.Exploration(
            original, tmp_path / "out", data=texts, device="cuda", scale=Scale("ray")
        ).plan(),
    ):
        with pytest.raises(SettingError, match="`device=cuda`: the workers of a cluster run on processors"):
            job()


def test_nodes_must_have_the_model(nodes, original, tmp_path, monkeypatch):
    monkeypatch.setattr("prensa.cluster.joined._check_versions", lambda cluster: None)
    monkeypatch.setattr("prensa.cluster.joined.Cluster.on_each_node", lambda *_, **__: [("there", "")])
    with pytest.raises(
        ModelError, match=r"^node there of the cluster has nothing at .*original; put it where"
    ):
        prensa.compress(original, tmp_path / "out", preset="small", on="ray:auto")
