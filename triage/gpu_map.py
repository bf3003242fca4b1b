"""The map of pods, nodes and GPUs for the report: which pod on which GPU, shared with whom, how full. Pure.

Of many devices those in question are told, and the others counted."""

from collections.abc import Collection, Mapping, Sequence

from triage.chart_scale import clock
from triage.gpus import Device, Key, gib, holder_name, is_ours, short_uuid
from triage.report import GpuMap, GpuRow
from triage.wording import MAX_NAME, count, names, short

MOST_ROWS = 8
_MOST_PODS = 6
"""Of one device."""


def gpu_map(
    devices: Sequence[Device],
    own: Collection[str],
    namespace: str,
    notes: Mapping[Key, Sequence[str]],
    in_question: Collection[str] = (),
) -> GpuMap | None:
    """`own`: the pods that were asked about, in `namespace` where that is known. None: of no device it is told which of them holds
    it. First the devices with `notes`, then those of the pods in question."""
    rows: list[tuple[tuple[int, int], GpuRow]] = []
    held_by: set[str] = set()
    for device in devices:
        own_holders = {holder for holder in device.holders if is_ours(holder, own, namespace)}
        if not own_holders:
            continue
        ours = sorted({pod for _, pod in own_holders})
        held_by |= set(ours)
        left = {holder: f" until {clock(at)} UTC" for holder, at in device.left.items()}
        others: list[str] = []
        apart: list[str] = []
        for holder in sorted(device.holders - own_holders):
            told = others if device.together(holder, own_holders) else apart
            told.append(f"{holder_name(holder)}{left.get(holder, '')}")
        stays = {pod for _, pod in device.holders - left.keys()}  # one source may tell no namespace
        until = {
            holder[1]: said
            for holder, said in left.items()
            if holder in own_holders and holder[1] not in stays
        }
        said = [note for key in dict.fromkeys((device.key, (device.gpu, ""))) for note in notes.get(key, ())]
        row = GpuRow(
            node=short(device.node, MAX_NAME),
            gpu=short(device.index, MAX_NAME),
            uuid=short(device.gpu, MAX_NAME),
            instance=short(device.instance, MAX_NAME),
            profile=short(device.profile, MAX_NAME),
            pods=_few([f"{pod}{until.get(pod, '')}" for pod in ours]),
            others=_few(others),
            used_bytes=device.memory[0] if device.memory else None,
            total_bytes=device.memory[1] if device.memory else None,
            notes=tuple(short(note) for note in [*said, *_apart(apart), *_until(device)]),
            evidence=tuple(dict.fromkeys(device.evidence)),
        )
        rows.append(((0 if said else 1, 0 if set(ours) & set(in_question) else 1), row))
    if not rows:
        return None
    rows.sort(key=lambda each: each[0])
    kept = tuple(row for _, row in rows[:MOST_ROWS])
    return GpuMap(rows=kept, more=len(rows) - len(kept), pods=len(held_by))


def _apart(others: Sequence[str]) -> list[str]:
    """How close they came is known to the window of a value: a short time together may be hidden in it."""
    return [f"held by {names(_few(others))} too, not surely at the same time"] if others else []


def _until(device: Device) -> list[str]:
    at = device.memory_until
    return [] if at is None else [f"its memory was told last at {clock(at)} UTC"]


def gpu_name(row: GpuRow) -> str:
    """Such as `GPU 3, MIG 1g.10gb 7 (GPU-5fd4f087)`."""
    name = f"GPU {row.gpu}" if row.gpu else short_uuid(row.uuid) or "GPU"
    if row.instance:
        name += f", MIG {row.profile or 'instance'} {row.instance}"
    return f"{name} ({short_uuid(row.uuid)})" if row.gpu and row.uuid else name


def gpu_memory_of(row: GpuRow) -> str:
    """Such as `71.2 of 79.6 GiB used`; empty: nobody tells."""
    if row.used_bytes is None or row.total_bytes is None:
        return ""
    return f"{gib(row.used_bytes)} of {gib(row.total_bytes)} GiB used"


def gpu_line(row: GpuRow) -> str:
    """A device in one line."""
    said = [f"{row.node}, {gpu_name(row)}" if row.node else gpu_name(row)]
    said[0] += f": {names(row.pods)}"
    if row.others:
        said.append(f"shared with {names(row.others)}")
    if memory := gpu_memory_of(row):
        said.append(memory)
    return "; ".join([*said, *row.notes])


def left_out(told: GpuMap) -> str:
    """How many are not shown; empty: none."""
    if not told.more:
        return ""
    kind = "device" if any(row.instance for row in told.rows) else "GPU"  # a MIG instance is none
    return f"{count(told.more, f'more {kind}')} left out; {count(told.pods, 'pod')} hold {told.more + len(told.rows)} {kind}s"


def _few(pods: Sequence[str]) -> tuple[str, ...]:
    kept = tuple(short(pod, MAX_NAME) for pod in pods[:_MOST_PODS])
    return (*kept, f"{len(pods) - _MOST_PODS} more") if len(pods) > _MOST_PODS else kept
