"""Why nothing of a fleet is seen, and why what is seen bears no target: each with what to do."""

from dataclasses import replace

import pytest

from autoscaler.answer import NoData, Reason, Value
from autoscaler.trial.diagnosis import Probe, explain, hopeless, parse_server, why_no_target
from autoscaler.trial.refusals import FORBIDDEN
from telemetry.pod_state import PodState
from tests.autoscaler.fleet import pod, row


def failing(failure: str, **about: object) -> PodState:
    return pod("a", failure=failure, **about)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("states", "rounds", "lost"),
    [
        ([failing(FORBIDDEN), failing(FORBIDDEN)], 1, True),
        ([failing(FORBIDDEN), failing("timed out")], 1, False),
        ([failing("timed out")], 2, False),
        ([failing("timed out")], 3, True),
        ([failing("timed out", ready=False)], 9, False),  # it may be loading
        ([failing("timed out"), pod("b", row(1))], 9, False),
        ([pod("a", {})], 3, True),  # a page without a model
    ],
)
def test_a_look_ends_early_only_when_more_would_show_no_more(
    states: list[PodState], rounds: int, lost: bool
) -> None:
    assert (hopeless(states, rounds) is not None) == lost


@pytest.mark.parametrize(
    ("state", "probe", "said"),
    [
        (failing(FORBIDDEN), Probe(), "--verb=get,list --resource=pods,pods/proxy"),
        (
            failing("the API server cannot reach it: connection refused"),
            Probe(version="2.51.0"),
            "Triton 2.51.0 answers on port 8000 of pod a, and its metrics do not on port 8002: the API server cannot reach it: "
            "connection refused. Either they are off (--allow-metrics=false)",
        ),
        (
            failing("timed out"),
            Probe(failure="answers HTTP 404"),
            "pod a shows no Triton: port 8002 (metrics): timed out; port 8000 (HTTP): answers HTTP 404. "
            "If it is a Triton, say the ports",
        ),
        (
            pod("a", {}),
            Probe(failure="answers HTTP 404"),
            "port 8002 of pod a has metrics, and none of Triton's; port 8000 answers HTTP 404: this is no Triton",
        ),
        (
            pod("a", {}),
            Probe(version="2.51.0"),
            "Triton 2.51.0 in pod a shows no metrics of a model: none is loaded",
        ),
    ],
)
def test_why_nothing_is_seen_says_what_to_do(state: PodState, probe: Probe, said: str) -> None:
    answered = replace(state, failure=None) if state.windows else state
    assert said in explain(answered, "prod", probe)


@pytest.mark.parametrize(
    ("body", "version"),
    [
        (b'{"name": "triton", "version": "2.51.0", "extensions": ["classification"]}', "2.51.0"),
        (b"<html>", ""),
        (b'{"name": "web"}', ""),
    ],
)
def test_triton_says_so_itself(body: bytes, version: str) -> None:
    assert parse_server(body).version == version


def test_decoupled_models_alone_bear_no_target() -> None:
    assert "every model here is decoupled (llm)" in why_no_target(Value(1.0, 1.0, 30), ["llm"], ["llm"])
    assert why_no_target(Value(1.0, 1.0, 30), ["llm"], ["llm", "m"]) == ""
    old = NoData(Reason.FAMILY_ABSENT, "pod a does not show X: this gauge needs Triton 23.09 or newer")
    assert "an HPA would get no number here: pod a does not show X" in why_no_target(old, [], ["m"])
    closed = NoData(
        Reason.MODEL_KIND_UNKNOWN, "pod a: could not be read from P; open that port to the autoscaler, or"
    )
    assert why_no_target(closed, [], []).startswith(
        "no target: pod a: could not be read from P. That path must lead"
    )
    assert why_no_target(NoData(Reason.WARMING_UP, "not yet"), [], ["m"]) == ""
