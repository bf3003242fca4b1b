"""Whom the cluster says the front proxy is, and what to do where it does not say."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import patch

import pytest
import trustme

from autoscaler.api.front_proxy import (
    CONFIGMAP_PATH,
    CONFIGMAPS_PATH,
    FrontProxy,
    FrontProxyError,
    FrontProxyTrust,
    load_front_proxy,
    parse_front_proxy,
)
from telemetry.kubernetes_api import KubernetesError
from tests.api.strict_api import StrictApi


def _configmap(ca: trustme.CA | str, names: str | None = '["front-proxy-client"]') -> dict[str, Any]:
    data = {"requestheader-client-ca-file": ca if isinstance(ca, str) else ca.cert_pem.bytes().decode()}
    return {"metadata": {}, "data": data | ({} if names is None else {"requestheader-allowed-names": names})}


def test_the_configmap_says_who_the_front_proxy_is(front_proxy_ca: trustme.CA) -> None:
    pem = front_proxy_ca.cert_pem.bytes().decode()
    configmap = json.dumps(_configmap(front_proxy_ca, '["front-proxy-client", "aggregator"]')).encode()
    assert parse_front_proxy(configmap) == FrontProxy(pem, ("front-proxy-client", "aggregator"))


@pytest.mark.parametrize("names", [None, "", "[]"])
def test_no_allowed_names_allow_any(front_proxy_ca: trustme.CA, names: str | None) -> None:
    assert parse_front_proxy(json.dumps(_configmap(front_proxy_ca, names)).encode()).allowed_names == ()


@pytest.mark.parametrize(
    ("configmap", "cause"),
    [
        ({"metadata": {}}, "without --requestheader-client-ca-file"),
        (_configmap(""), "without --requestheader-client-ca-file"),
        (_configmap("text"), "holds no PEM certificate"),
        (
            _configmap("-----BEGIN CERTIFICATE-----\nZ29uZQ==\n-----END CERTIFICATE-----\n"),
            "not readable as PEM",
        ),
        ({"data": 3}, "is not readable"),
    ],
)
def test_a_configmap_that_proves_nothing_is_an_error(configmap: dict[str, Any], cause: str) -> None:
    with pytest.raises(FrontProxyError, match=cause):
        parse_front_proxy(json.dumps(configmap).encode())


def test_allowed_names_that_are_no_list_are_an_error_and_not_anybody(front_proxy_ca: trustme.CA) -> None:
    with pytest.raises(FrontProxyError, match="no JSON list of strings"):
        parse_front_proxy(json.dumps(_configmap(front_proxy_ca, '"front-proxy-client"')).encode())


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (
            KubernetesError("forbidden", status=403),
            "kubectl create rolebinding triton-autoscaler-auth-reader -n kube-system"
            " --role=extension-apiserver-authentication-reader --serviceaccount=triton-ops:autoscaler",
        ),
        (KubernetesError("gone", status=404), "does not exist"),
        (KubernetesError("no answer from https://10.0.0.1"), "no answer from https://10.0.0.1"),
    ],
)
async def test_a_configmap_that_cannot_be_read_names_the_remedy(error: KubernetesError, remedy: str) -> None:
    api = StrictApi(CONFIGMAP_PATH, None)
    api.failures = [error]
    with pytest.raises(FrontProxyError) as raised:
        await load_front_proxy(api, service_account="triton-ops:autoscaler")
    assert remedy in str(raised.value)


async def test_a_new_ca_is_applied_once_and_an_unreadable_one_changes_nothing(
    front_proxy_ca: trustme.CA, other_ca: trustme.CA
) -> None:
    api = StrictApi(CONFIGMAP_PATH, _configmap(front_proxy_ca))
    applied: list[FrontProxy] = []

    async def apply(front_proxy: FrontProxy) -> None:
        applied.append(front_proxy)

    trust = FrontProxyTrust(api, apply)
    assert (trust.front_proxy, trust.problem) == (None, "not read yet")
    await trust.refresh()
    await trust.refresh()
    assert applied == [trust.front_proxy]
    assert trust.allowed_names() == ("front-proxy-client",)

    api.failures = [KubernetesError("no answer")]
    await trust.refresh()
    assert trust.problem is not None
    assert applied == [trust.front_proxy]

    api.change(_configmap(other_ca, '["aggregator"]'))
    await trust.refresh()
    assert trust.problem is None
    assert trust.front_proxy == applied[1]
    assert trust.allowed_names() == ("aggregator",)


NAME = "metadata.name=extension-apiserver-authentication"


async def test_it_is_read_again_and_again_where_it_may_not_be_watched(front_proxy_ca: trustme.CA) -> None:
    api = StrictApi(CONFIGMAP_PATH, _configmap(front_proxy_ca))
    api.watched = (CONFIGMAPS_PATH, NAME)
    applied: list[FrontProxy] = []

    async def apply(front_proxy: FrontProxy) -> None:
        applied.append(front_proxy)

    trust = FrontProxyTrust(api, apply, reread_seconds=0)
    with patch.object(api, "watch", _refused):
        keeping = asyncio.create_task(trust.keep())
        await api.reached("get", 3)
    keeping.cancel()
    assert applied == [trust.front_proxy]


async def test_a_change_counts_at_the_word_of_the_watch_for_the_ca_and_for_the_names(
    front_proxy_ca: trustme.CA, other_ca: trustme.CA
) -> None:
    api = StrictApi(CONFIGMAP_PATH, _configmap(front_proxy_ca))
    api.watched = (CONFIGMAPS_PATH, NAME)
    applied = asyncio.Queue[FrontProxy]()
    trust = FrontProxyTrust(api, applied.put, reread_seconds=3600)
    keeping = asyncio.create_task(trust.keep())
    async with asyncio.timeout(10):
        first = await applied.get()
        api.change(_configmap(front_proxy_ca, '["aggregator"]'))
        second = await applied.get()
        api.change(_configmap(other_ca, '["aggregator"]'))
        third = await applied.get()
    keeping.cancel()
    assert (second.ca_pem, second.allowed_names) == (first.ca_pem, ("aggregator",))
    assert (third.ca_pem, third.allowed_names) == (other_ca.cert_pem.bytes().decode(), ("aggregator",))


async def _refused(path: str, query: object) -> AsyncIterator[bytes]:
    raise KubernetesError("forbidden", status=403)
    yield b""
