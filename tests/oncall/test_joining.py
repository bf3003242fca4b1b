"""What alerts do to incidents: one open incident for a workload and a tree, however often and in whatever order they are told."""

import itertools
import random
from collections.abc import Mapping, Sequence

import msgspec
import pytest

from triage.oncall.alertmanager import Told
from triage.oncall.incident import Alert, Incident
from triage.oncall.joining import MOST_ALERTS, MOST_OPEN, Done, Key, can_take, incident_name, take, with_alert

NOW = 1_796_000_000.0


def told(
    fingerprint: str = "a",
    *,
    firing: bool = True,
    workload: str = "deployment/web",
    tree: str = "p99",
    problem: str = "",
    starts: float = NOW - 60,
) -> Told:
    alert = Alert(
        fingerprint=fingerprint, name="Slow", firing=firing, starts_at=starts, ends_at=None if firing else NOW
    )
    return Told(alert=alert, tree=tree, namespace="prod", workload=workload, problem=problem)


class Desk:
    """Takes notifications one after the other, as the service does."""

    def __init__(self) -> None:
        self.incidents: dict[Key, Incident] = {}
        self.ended: list[Incident] = []
        self._number = itertools.count()

    def take(self, *alerts: Told, now: float = NOW, truncated: int = 0) -> Sequence[Done]:
        here: Mapping[Key, Incident] = {k: one for k, one in self.incidents.items() if can_take(one, now)}
        taken = take(
            here,
            alerts,
            truncated,
            trees=("p99", "load-failure"),
            now=now,
            name=lambda key: f"incident-{next(self._number)}",
        )
        self.incidents = {**self.incidents, **taken.changed}
        return taken.done

    @property
    def only(self) -> Incident:
        (one,) = self.incidents.values()
        return one


def test_alerts_of_one_workload_and_tree_are_one_incident() -> None:
    desk = Desk()
    assert desk.take(
        told("a"), told("b"), told("a", tree="load-failure"), told("c", workload="deployment/api")
    ) == (
        "opened",
        "joined",
        "opened",
        "opened",
    )
    assert [len(one.alerts) for one in desk.incidents.values()] == [2, 1, 1]


def test_a_repeated_notification_changes_nothing() -> None:
    desk = Desk()
    desk.take(told("a"))
    before = desk.only
    assert desk.take(told("a"), told("a")) == ("unchanged", "unchanged")
    assert desk.only == before


def test_it_ends_with_its_last_alert_and_reopens_within_the_hour() -> None:
    desk = Desk()
    desk.take(told("a"), told("b"))
    assert desk.take(told("a", firing=False)) == ("joined",)
    assert desk.only.state == "open"
    assert desk.take(told("b", firing=False), now=NOW + 10) == ("resolved",)
    assert (desk.only.state, desk.only.resolved_at) == ("resolved", NOW + 10)
    assert desk.take(told("a", starts=NOW + 100), now=NOW + 3000) == ("reopened",)
    assert (desk.only.state, desk.only.resolved_at, desk.only.reopened, desk.only.work) == (
        "open",
        None,
        1,
        "waiting",
    )


def test_after_the_hour_it_is_another_incident() -> None:
    desk = Desk()
    desk.take(told("a"))
    desk.take(told("a", firing=False))
    assert desk.take(told("a", starts=NOW + 4000), now=NOW + 4000) == ("opened",)
    assert desk.only.name == "incident-1"


def test_the_late_end_of_an_earlier_firing_ends_nothing() -> None:
    desk = Desk()
    desk.take(told("a", starts=NOW))
    assert desk.take(told("a", firing=False, starts=NOW - 500)) == ("unchanged",)
    assert desk.only.state == "open"


def test_an_end_without_a_beginning_opens_nothing() -> None:
    desk = Desk()
    assert desk.take(told("a", firing=False)) == ("unchanged",)
    assert not desk.incidents


def test_an_alert_stays_with_its_incident_when_its_pod_is_gone() -> None:
    """The pod named its workload; when the alert ends nobody knows the pod any more."""
    desk = Desk()
    desk.take(told("a", workload="deployment/web"))
    assert desk.take(told("a", workload="pod/web-6f7-x2", firing=False)) == ("resolved",)
    assert desk.only.state == "resolved"


def test_what_is_not_for_us_is_left_alone() -> None:
    desk = Desk()
    assert desk.take(told(tree=""), told(tree="node-disk")) == ("not_ours", "not_ours")
    assert not desk.incidents


def test_a_target_that_cannot_be_looked_at_has_a_record_that_says_why() -> None:
    desk = Desk()
    assert desk.take(told(problem="namespace x is not allowed")) == ("refused",)
    assert (desk.only.refused, desk.only.work) == ("namespace x is not allowed", "done")


def test_past_the_bound_new_incidents_are_turned_away_and_open_ones_go_on() -> None:
    desk = Desk()
    many = [told(f"a{n}", workload=f"deployment/web-{n}") for n in range(MOST_OPEN + 1)]
    assert desk.take(*many)[-2:] == ("opened", "turned_away")
    assert desk.take(told("b", workload="deployment/web-3")) == ("joined",)
    desk.take(told("a7", workload="deployment/web-7", firing=False))
    assert desk.take(many[-1]) == ("opened",)


def test_alerts_that_alertmanager_left_out_are_counted() -> None:
    desk = Desk()
    desk.take(told("a"), truncated=40)
    desk.take(told("b"), truncated=7)
    assert desk.only.truncated_alerts == 40


def test_alerts_that_fire_are_kept_before_those_that_ended() -> None:
    desk = Desk()
    desk.take(*(told(f"old{n}") for n in range(40)))
    desk.take(*(told(f"old{n}", firing=False) for n in range(39)))
    desk.take(*(told(f"new{n}") for n in range(MOST_ALERTS - 5)))
    kept = desk.only.alerts
    assert len(kept) == MOST_ALERTS
    assert sum(alert.firing for alert in kept) == MOST_ALERTS - 4


@pytest.mark.parametrize("seed", range(20))
def test_any_order_of_the_same_alerts_ends_in_the_same_state(seed: int) -> None:
    """A pair of Alertmanagers tells everything twice, and in no order but that an end follows its beginning."""
    rng = random.Random(seed)
    firing = [told(f"f{n}") for n in range(6)]
    ended = [told(f"f{n}", firing=False) for n in range(4)]
    desk = Desk()
    for batch in (firing, firing, ended, ended):
        shuffled = batch[:]
        rng.shuffle(shuffled)
        for one in shuffled:
            desk.take(one)
    assert desk.only.state == "open"
    assert {alert.fingerprint for alert in desk.only.alerts if alert.firing} == {"f4", "f5"}


def test_a_running_triage_is_not_started_again_by_a_reopening() -> None:
    incident = msgspec.structs.replace(opened(), state="resolved", resolved_at=NOW, work="running")
    assert with_alert(incident, told("a", starts=NOW + 5).alert, NOW + 5).work == "running"


def opened() -> Incident:
    desk = Desk()
    desk.take(told("a"))
    return desk.only


def test_names_are_names_of_objects() -> None:
    name = incident_name(("prod", "deployment/web.v2-" + "x" * 80, "load-failure"), "1130-0241", "4f2a9c")
    assert name == "prod-web-v2-xxxxxxxxxxxxxxxxxx-load-failure-1130-0241-4f2a9c"
    assert len(name) <= 63
