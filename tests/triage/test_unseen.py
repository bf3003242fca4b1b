"""What could not be seen of several replicas is told once, and what differs is not taken for the same."""

from tests.triage.snapshots import evidence
from triage.evidence import Evidence, Missing, MissingReason
from triage.unseen import missing_evidence, unread_files

PODS = ("web-a", "web-b", "web-c")


def gone(
    probe: str, pod: str, source: str, reason: MissingReason, detail: str, remedy: str = "wait", id: str = ""
) -> Evidence:
    made = evidence(id or f"{probe}:{pod}", probe, None, Missing(reason, detail, remedy), pod)
    return Evidence(**{**{name: getattr(made, name) for name in made.__struct_fields__}, "source": source})


def test_replicas_that_lack_the_same_are_one_entry() -> None:
    events = [gone("events", pod, f"events of pod {pod}", "expired", f"no events of {pod}") for pod in PODS]
    nodes = [
        gone("node", pod, "node n1", "forbidden", f'cannot get nodes "n1" for {pod}', "the rule")
        for pod in PODS
    ]
    told = missing_evidence([event for pair in zip(events, nodes, strict=True) for event in pair])
    assert [(each.what, each.reason) for each in told] == [
        ("events of pod web-a, and the same of 2 more", "expired"),
        ("node n1", "forbidden"),
    ]


def test_another_reason_another_container_and_another_right_stay_apart() -> None:
    logs = [
        gone("log", "a", "log of a/triton", "not_found", "the log is empty", id="log:a/triton"),
        gone("log", "b", "log of b/triton", "timeout", "no answer", id="log:b/triton"),
        gone("log", "b", "log of b/fetch", "not_found", "the log is empty", id="log:b/fetch"),
    ]
    rights = [
        gone("index", "a", "port 8000 of pod a", "forbidden", "no", "create pods/proxy"),
        gone("index", "b", "port 8000 of pod b", "forbidden", "no", "get pods/proxy"),
    ]
    assert len(missing_evidence([*logs, *rights])) == 5


def test_what_belongs_to_no_pod_is_never_put_together() -> None:
    alone = [
        gone("rollouts", "", "rollouts of deploy/web", "forbidden", "no", "the rule", id="rollouts"),
        gone("canary", "", "canary of deploy/web", "forbidden", "no", "the rule", id="canary"),
    ]
    assert len(missing_evidence(alone)) == 2


def test_a_file_that_may_not_be_read_is_forbidden_and_what_is_left_out_is_counted() -> None:
    denied, *others = unread_files(
        "repository r", ["a/config.pbtxt: Permission denied", *["b: too large"] * 11]
    )
    assert (denied.reason, denied.detail) == ("forbidden", "a/config.pbtxt: Permission denied")
    assert {each.reason for each in others} == {"truncated"}
    assert (len(others), others[-1].detail) == (10, "2 more, not told here")
