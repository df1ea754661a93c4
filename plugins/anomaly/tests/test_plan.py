"""How what is usual is learned, by what there is."""

from __future__ import annotations

from gmkit_anomaly.plan import LONG, Plan, plan_for

from gmkit.observer import Observer


def test_long_data_is_judged_by_the_quick_scorer_which_trims_by_itself() -> None:
    assert plan_for(Plan(), LONG, Observer()) == Plan(quick=True)
    plan = plan_for(Plan(), LONG, Observer(), keep=True)
    assert plan.scorers == ("linear",) and not plan.quick
    assert plan.settings["family"]["trim_by"] == "linear"
    chosen = Plan(scorers=("forest",))
    for same, rows in (
        (chosen, LONG),
        (Plan(), LONG - 1),
        (Plan(), None),
        (Plan(model="vae"), LONG),
    ):
        assert plan_for(same, rows, Observer()) == same


def test_no_more_is_read_into_memory_than_the_detector_learns_from() -> None:
    assert Plan().sample == 50_000
    assert Plan(settings={"family": {"rows": 70}}).sample == 70
    assert Plan(settings={"family": {"rows": 10**9}}).sample == Plan().rows
    assert Plan(model="vae").sample == Plan().rows
