"""The numbers that an HPA gets, as one JSON route for KEDA's `metrics-api` trigger, where another adapter owns the API group.

No data is an HTTP error and never a number. KEDA 2.21 takes any status but 200, and a `valueLocation` that is not there, for
an error of the trigger (pkg/scalers/metrics_api_scaler.go, `getMetricValueFromURL` and `getValueFromJSONResponse`); without a
`fallback` its HPA then holds, and nothing is scaled to zero (pkg/scaling/executor/scale_scaledobjects.go, `TriggerError`).
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from aiohttp import web

from autoscaler.answer import NoData
from autoscaler.api.app import ExternalMetrics
from autoscaler.api.documents import JSON
from autoscaler.api.metrics import ApiError, refuse_no_data, whole_milli
from autoscaler.api.question import read_question

PATH = "/api/v1/namespaces/{namespace}/signals/{signal}"


class JsonRoute:
    """`namespaces` gives those whose numbers may be read at this moment; None means that the route is switched off."""

    def __init__(self, metrics: ExternalMetrics, namespaces: Callable[[], Sequence[str] | None]) -> None:
        self._metrics = metrics
        self._namespaces = namespaces

    async def answer(self, request: web.Request) -> web.Response:
        namespaces = self._namespaces()
        if namespaces is None:
            raise ApiError(404, "the JSON route is switched off: give json_route in the configuration")
        if request.match_info["namespace"] not in namespaces:
            raise ApiError(403, "this namespace is not among json_route.namespaces of the configuration")
        question = read_question(request, self._metrics.signals())
        if question.explain:
            raise ApiError(400, "explain is answered through kube-apiserver alone, under the caller's rights")
        answer = self._metrics.answer(question.namespace, question.signal, question.selector, explain=False)
        if isinstance(answer, NoData):
            raise refuse_no_data(answer)
        body: dict[str, Any] = {
            "schema": "triton-ops/signal/v1",
            "namespace": question.namespace,
            "signal": question.signal,
            "selector": str(question.selector),
            "value": whole_milli(question.signal, answer.value) / 1000,
            "idle": answer.idle,
            "sampleAgeSeconds": round(answer.sample_age_seconds, 3),
            "windowSeconds": answer.window_seconds,
            "labels": dict(answer.labels),
        }
        return web.Response(
            body=msgspec.json.encode(body), content_type=JSON, headers={"Cache-Control": "no-store"}
        )
