"""Every record keeps what it is given, replaces it whole, and says why when it cannot: one suite for the folder and the cluster."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from telemetry.kube_client import KubernetesClient
from tests.controlplane.control_plane import ControlPlane
from tests.oncall.values import INCIDENT, NOW, large_report
from triage.oncall import folder_record
from triage.oncall.cluster_record import MOST_BYTES, ClusterRecord
from triage.oncall.folder_record import FolderRecord
from triage.oncall.incident import Alert
from triage.oncall.joining import MOST_ALERTS, with_alert
from triage.oncall.record import Record, RecordError, encode
from triage.oncall.shorten import shorten

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHECKOUT = Path(__file__).parents[2]
NAMESPACE = "record"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cluster(control_plane: ControlPlane) -> AsyncIterator[KubernetesClient]:
    await control_plane.create_namespace(NAMESPACE)
    await control_plane.api.apply((CHECKOUT / "deploy" / "triagereports.yaml").read_text())
    await control_plane.until_served("triagereports.triton-ops.io")
    async with KubernetesClient(kubeconfig=str(control_plane.kubeconfig)) as api:
        yield api
    await control_plane.delete_namespace(NAMESPACE)


@pytest_asyncio.fixture(params=["folder", "cluster"], loop_scope="session")
async def record(
    request: pytest.FixtureRequest, tmp_path: Path, cluster: KubernetesClient
) -> AsyncIterator[Record]:
    made: Record = (
        FolderRecord(tmp_path / "kept") if request.param == "folder" else ClusterRecord(cluster, NAMESPACE)
    )
    yield made
    for incident in await made.load():
        await made.remove(incident.name)


def another(record: Record) -> Record:
    """As the program has it after a restart."""
    if isinstance(record, FolderRecord):
        return FolderRecord(record._folder)
    assert isinstance(record, ClusterRecord)
    return ClusterRecord(record._api, NAMESPACE)


async def test_what_was_saved_is_there_after_a_restart(record: Record) -> None:
    await record.save(INCIDENT)
    assert list(await another(record).load()) == [INCIDENT]


async def test_a_later_value_replaces_the_earlier_one(record: Record) -> None:
    await record.save(INCIDENT)
    later = msgspec.structs.replace(INCIDENT, state="resolved", resolved_at=1_796_000_500.5, alerts=())
    await record.save(later)
    restarted = another(record)
    assert list(await restarted.load()) == [later]
    closed = msgspec.structs.replace(later, state="closed")
    await restarted.save(closed)
    assert list(await record.load()) == [closed]


async def test_values_saved_at_once_all_stand(record: Record) -> None:
    many = [msgspec.structs.replace(INCIDENT, name=f"{INCIDENT.name}-{n}") for n in range(20)]
    await asyncio.gather(*map(record.save, many))
    assert sorted(one.name for one in await record.load()) == sorted(one.name for one in many)


async def test_saving_the_same_incident_from_two_sides_ends_with_one_of_them(record: Record) -> None:
    await record.save(INCIDENT)
    other = another(record)
    await other.load()
    await other.save(msgspec.structs.replace(INCIDENT, reopened=1))
    await record.save(msgspec.structs.replace(INCIDENT, reopened=2))  # whose version is out of date
    assert [one.reopened for one in await record.load()] == [2]


async def test_what_somebody_removed_is_made_again_when_it_changes(record: Record) -> None:
    await record.save(INCIDENT)
    await another(record).remove(INCIDENT.name)
    await record.save(msgspec.structs.replace(INCIDENT, reopened=1))
    assert [one.reopened for one in await record.load()] == [1]


async def test_what_is_removed_is_gone_and_removing_it_again_is_no_mistake(record: Record) -> None:
    await record.save(INCIDENT)
    await record.remove(INCIDENT.name)
    await record.remove(INCIDENT.name)
    assert not await record.load()


async def test_one_incident_is_read_by_its_name(record: Record) -> None:
    await record.save(INCIDENT)
    assert isinstance(record, FolderRecord | ClusterRecord)
    assert await record.read(INCIDENT.name) == INCIDENT
    with pytest.raises(RecordError, match="nobody"):
        await record.read("nobody")


async def test_the_largest_incident_fits(record: Record) -> None:
    large = msgspec.structs.replace(
        INCIDENT, report=shorten(large_report()), also=("namespace/deployment/name" * 2,) * 200
    )
    text = "x" * 300
    for number in range(MOST_ALERTS + 5):
        alert = Alert(
            fingerprint=f"{number:064x}",
            name=text,
            starts_at=NOW,
            summary=text,
            runbook_url=text,
            source_url=text,
        )
        large = with_alert(large, alert, NOW)
    assert len(encode(large)) < MOST_BYTES
    await record.save(large)
    assert list(await record.load()) == [large]


async def test_it_says_that_it_can_be_written(record: Record) -> None:
    await record.check()


async def test_a_folder_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file, where the folder should be")
    record = FolderRecord(tmp_path / "kept")
    for call in (record.save(INCIDENT), record.load(), record.check()):
        with pytest.raises(RecordError, match="the record needs a folder that can be written"):
            await call


async def test_a_file_that_is_no_incident_is_left_where_it_is(tmp_path: Path) -> None:
    record = FolderRecord(tmp_path)
    await record.save(INCIDENT)
    (tmp_path / "half.json").write_bytes(encode(INCIDENT)[:300])
    assert list(await record.load()) == [INCIDENT]
    assert (tmp_path / "half.json").exists()


async def test_a_copy_is_not_taken_for_what_it_is_a_copy_of(tmp_path: Path) -> None:
    record = FolderRecord(tmp_path)
    await record.save(msgspec.structs.replace(INCIDENT, reopened=1))
    (tmp_path / "zzz-before-i-edited-it.json").write_bytes(encode(INCIDENT))
    assert [one.reopened for one in await record.load()] == [1]


async def test_what_arrives_too_late_never_follows_a_later_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A volume that hung for longer than a write may take, and came back."""
    record = FolderRecord(tmp_path)
    hangs = threading.Event()
    write = folder_record._write

    def slow(file: Path, content: bytes) -> None:
        hangs.wait(10)
        write(file, content)

    monkeypatch.setattr(folder_record, "_DEADLINE_SECONDS", 0.1)
    monkeypatch.setattr(folder_record, "_write", slow)
    with pytest.raises(RecordError, match="does not answer"):
        await record.save(INCIDENT)
    monkeypatch.setattr(folder_record, "_write", write)
    later = msgspec.structs.replace(INCIDENT, reopened=1)
    with pytest.raises(RecordError, match="does not answer"):
        await record.save(later)
    other = msgspec.structs.replace(INCIDENT, name="other")
    await record.save(other)
    hangs.set()
    await asyncio.sleep(0.1)
    await record.save(later)
    assert {one.name: one.reopened for one in await record.load()} == {INCIDENT.name: 1, "other": 0}


async def test_a_report_that_somebody_edited_into_nonsense_costs_only_itself(
    cluster: KubernetesClient, control_plane: ControlPlane
) -> None:
    record = ClusterRecord(cluster, NAMESPACE)
    broken = [msgspec.structs.replace(INCIDENT, name=f"{INCIDENT.name}-{n}") for n in range(3)]
    for one in (INCIDENT, *broken):
        await record.save(one)
    edits: list[dict[str, object]] = [{"state": "done"}, {"alerts": [{"name": 3}]}, {"name": "another"}]
    for one, edit in zip(broken, edits, strict=True):
        kept = await control_plane.api.get("triton-ops.io/v1alpha1", "TriageReport", one.name, NAMESPACE)
        kept["spec"]["incident"]["incident"] |= edit
        await cluster.put(f"{record._path}/{one.name}", msgspec.json.encode(kept))
    assert list(await another(record).load()) == [INCIDENT]
    with pytest.raises(RecordError, match="is no incident of this version"):
        await record.read(broken[0].name)
    for one in (INCIDENT, *broken):
        await record.remove(one.name)


async def test_a_cluster_without_the_resource_says_what_to_install(cluster: KubernetesClient) -> None:
    record = ClusterRecord(cluster, NAMESPACE)
    record._path = record._path.replace("triagereports", "otherreports")
    for call in (record.save(INCIDENT), record.load(), record.check()):
        with pytest.raises(RecordError, match="is the custom resource installed"):
            await call


async def test_kubectl_lists_them_with_cause_and_state(
    cluster: KubernetesClient, control_plane: ControlPlane
) -> None:
    record = ClusterRecord(cluster, NAMESPACE)
    await record.save(INCIDENT)
    command = [
        control_plane.kubectl,
        "--kubeconfig",
        control_plane.kubeconfig,
        "-n",
        NAMESPACE,
        "get",
        "triagereports",
    ]
    process = await asyncio.create_subprocess_exec(*map(str, command), stdout=asyncio.subprocess.PIPE)
    told, _ = await process.communicate()
    header, row = told.decode().splitlines()
    assert header.split() == ["NAME", "WORKLOAD", "TREE", "CAUSE", "CONFIDENCE", "STATE", "AGE"]
    assert row.split()[:-1] == [
        INCIDENT.name,
        "prod/deployment/web",
        "load-failure",
        "runtime_version",
        "likely",
        "Open",
    ]
    await record.remove(INCIDENT.name)
