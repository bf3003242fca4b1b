"""Answers as the JSON that the HPA, kubectl and KEDA read.

A value is a list of exactly one item, because the HPA sums items. No value is a `Status`, on which the HPA
holds.
"""

import difflib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from autoscaler import quantity
from autoscaler.answer import Answer, NoData, Reason, Value
from autoscaler.api.documents import GROUP, GROUP_VERSION, KIND
from autoscaler.selector import Selector
from telemetry.one_line import bounded

MAX_MESSAGE_CHARS = 300
"""A message lands in the HPA's status and in events."""

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    413: "RequestEntityTooLarge",
    500: "InternalError",
    503: "ServiceUnavailable",
}


class ApiError(Exception):
    """A request that gets a `Status`: HTTP code, message and Kubernetes' machine-readable reason."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = _REASONS.get(code, "Unknown")
        self.message = bounded(message, MAX_MESSAGE_CHARS)


def render_answer(signal: str, selector: Selector, answer: Answer, now: datetime) -> bytes:
    """The `ExternalMetricValueList` of a value; raises `ApiError` for no data. `now` is timezone-aware."""
    if isinstance(answer, NoData):
        raise refuse_no_data(answer)
    try:
        text = quantity.format_quantity(answer.value)
    except quantity.QuantityError as error:
        raise _not_representable(signal) from error
    item = {
        "metricName": signal,
        "metricLabels": selector.exact_labels() | dict(answer.labels),
        "timestamp": _timestamp(now - timedelta(seconds=answer.sample_age_seconds)),
        "window": answer.window_seconds,
        "value": text,
    }
    return msgspec.json.encode({"kind": KIND, "apiVersion": GROUP_VERSION, "metadata": {}, "items": [item]})


def refuse_no_data(answer: NoData) -> ApiError:
    """No data is an error, never a number: on an error the HPA holds."""
    return ApiError(404 if answer.reason is Reason.UNKNOWN_SIGNAL else 503, answer.message)


def whole_milli(signal: str, value: float) -> int:
    """The value in the milli-units that the HPA would read; raises `ApiError`."""
    try:
        return quantity.whole_milli(value)
    except quantity.QuantityError as error:
        raise _not_representable(signal) from error


def _not_representable(signal: str) -> ApiError:
    cause = "no Kubernetes quantity can hold its value (NaN, infinite, negative or past int64 milli-units)"
    return ApiError(503, f"{signal}: {cause}")


def render_trace(namespace: str, signal: str, selector: Selector, answer: Answer) -> bytes:
    """The `SignalTrace` behind an answer: what `explain=1` returns, for a value and for no data alike."""
    trace: dict[str, Any] = {
        "kind": "SignalTrace",
        "apiVersion": "triton-ops/v1alpha1",
        "namespace": namespace,
        "signal": signal,
        "selector": str(selector),
    }
    trace |= _state(answer)
    if answer.alone:
        trace["sources"] = {name: _state(alone) for name, alone in answer.alone.items()}
    return msgspec.json.encode(trace | {"pods": [dict(row) for row in answer.trace]}, enc_hook=str)


def _state(answer: Answer) -> Mapping[str, Any]:
    if isinstance(answer, Value):
        return {
            "state": "idle" if answer.idle else "value",
            "value": answer.value,
            "reason": None,
            "message": "",
            "sampleAgeSeconds": answer.sample_age_seconds,
            "windowSeconds": answer.window_seconds,
            "labels": dict(answer.labels),
        }
    return {
        "state": "no_data",
        "value": None,
        "reason": str(answer.reason),
        "message": answer.message,
        "labels": {},
    }


def render_status(error: ApiError) -> bytes:
    """The `Status` object of an error."""
    return msgspec.json.encode(
        {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": error.message,
            "reason": error.reason,
            "details": {"group": GROUP},
            "code": error.code,
        }
    )


def unknown_signal(signal: str, signals: Sequence[str]) -> ApiError:
    """404 for a signal that is not served, with the nearest that is."""
    near = difflib.get_close_matches(signal[:100], signals, n=1)
    hint = f"; did you mean {near[0]}?" if near else f"; {len(signals)} signals are served, see discovery"
    return ApiError(404, f"no signal {bounded(signal, 80)!r}{hint}")


def _timestamp(moment: datetime) -> str:
    """RFC 3339 in whole seconds of UTC; a finer time does not decode as metav1.Time's printed form."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
