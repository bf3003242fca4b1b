"""Alertmanager's webhook read as values, whatever it holds."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.rules_dir import rules_dir
from tests.oncall.on_call_service import alert, notification
from triage.oncall.alertmanager import NotificationError, parse_notification
from triage.rules import seals_from_folder

SEAL = seals_from_folder(rules_dir())().value


def read(*alerts: dict[str, Any], truncated: int = 0) -> Any:
    return parse_notification(json.dumps(notification(alerts, truncated)).encode(), SEAL)


def test_labels_choose_tree_and_target() -> None:
    told = read(alert(namespace="prod", workload="web", model="resnet50"), truncated=3)
    (one,) = told.told
    assert (one.tree, one.namespace, one.workload) == ("load-failure", "prod", "deployment/web")
    assert (one.alert.model, one.alert.severity, one.alert.firing) == ("resnet50", "critical", True)
    assert one.alert.starts_at == 1796006460.0
    assert told.truncated_alerts == 3


@pytest.mark.parametrize(
    ("labels", "workload"),
    [
        ({"workload": "web", "pod": "web-1"}, "deployment/web"),
        ({"workload": "web", "workload_kind": "StatefulSet"}, "statefulset/web"),
        ({"deployment": "web"}, "deployment/web"),
        ({"statefulset": "web"}, "statefulset/web"),
        ({"daemonset": "web", "pod": "web-x"}, "daemonset/web"),
        ({"pod": "web-6f7-x2"}, "pod/web-6f7-x2"),
        ({}, ""),
    ],
)
def test_the_first_label_that_names_something_with_pods_counts(labels: dict[str, str], workload: str) -> None:
    assert read(alert(namespace="prod", **labels)).told[0].workload == workload


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ({"namespace": "../kube-system", "workload": "web"}, 'namespace="../kube-system" names no namespace'),
        ({"namespace": "", "workload": "web"}, "names no namespace"),
        ({"namespace": "prod", "workload": "web/../../x"}, 'deployment="web/../../x" is no name'),
        ({"namespace": "prod", "pod": "a\x1b[2Jb"}, 'pod="ab" is no name'),
    ],
)
def test_a_name_that_is_none_is_told_and_never_becomes_a_path(labels: dict[str, str], says: str) -> None:
    (one,) = read(alert(**labels)).told
    assert says in one.problem
    assert "/.." not in one.workload


def test_severities_of_other_rules_are_understood_or_count_as_warnings() -> None:
    told = read(*(alert(namespace="prod", severity=word) for word in ("page", "ticket", "info", "P1", "")))
    assert [one.alert.severity for one in told.told] == ["critical", "warning", "info", "warning", "warning"]


def test_texts_are_printable_and_bounded() -> None:
    sent = alert(namespace="prod", workload="web")
    sent["annotations"]["summary"] = "\x1b[31m" + "x" * 10_000 + "\u202e"
    (one,) = read(sent).told
    assert len(one.alert.summary) <= 300
    assert one.alert.summary.isprintable()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[1]",
        b'{"version": "4"}',
        b"\xff\xfe",
        b'{"a":' * 20_000,
        b'{"version":"3","groupKey":"","alerts":[]}',
    ],
)
def test_what_is_no_notification_is_refused_in_words(body: bytes) -> None:
    with pytest.raises(NotificationError) as refused:
        parse_notification(body, SEAL)
    assert str(refused.value)


def test_no_secret_in_a_text_is_taken_over_and_no_hash_is_taken_for_one() -> None:
    """Masked before the text is cut: each stands where the cut goes through it."""
    token, password = "xoxb-123456789012-1234567890123-" + "q7Rk2Zt9Xb4Mv8Lc1Ws6Np3H", "hunter2-of-the-night"
    given = alert(
        namespace=f"token={token}", workload="web", model=f"m?access_token={token}", alertname=f"A {token}"
    )
    given["annotations"] = {
        "summary": "x" * 270 + f" Bearer {token}",
        "runbook_url": f"https://u:{password}@wiki/x",
    }
    given["annotations"]["runbook_url"] += "/ and much more" * 200
    given["generatorURL"] = f"https://admin:{password}@prometheus/graph"
    told = read({**given, "fingerprint": ""}, given)
    said = repr(told)
    assert token[:20] not in said
    assert password not in said
    assert "[MASKED:" in said
    assert told.told[1].alert.fingerprint == given["fingerprint"]


@given(
    st.recursive(
        st.none() | st.text() | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_is_read_or_refused(value: Any) -> None:
    body = {**notification([]), "alerts": value}
    try:
        parse_notification(json.dumps(body).encode("utf-8", "surrogatepass"), SEAL)
    except NotificationError:
        return
