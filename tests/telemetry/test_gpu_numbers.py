"""Pods of the same models show the same series, whatever their GPUs are called."""

from telemetry.exposition import SeriesTable, parse_exposition
from telemetry.gpu_numbers import GpuNumbers

SUCCESS = "nv_inference_request_success"
MEMORY = "nv_gpu_memory_used_bytes"


def page(*uuids: str) -> str:
    models = "".join(f'{SUCCESS}{{gpu_uuid="{uuid}",model="m",version="1"}} 1\n' for uuid in uuids)
    gpus = "".join(f'{MEMORY}{{gpu_uuid="{uuid}"}} 2\n' for uuid in uuids)
    return f'{models}{SUCCESS}{{model="m",version="1"}} 0\n{gpus}'


def test_the_models_series_of_two_pods_are_the_same_ones_and_their_gpus_are_not() -> None:
    table = SeriesTable()
    one, other = (
        [series for series, _ in parse_exposition(GpuNumbers().put_into(page(uuid)), table)]
        for uuid in ("GPU-1", "GPU-2")
    )
    assert [mine is theirs for mine, theirs in zip(one, other, strict=True)] == [True, True, False]
    assert [series.labels.get("gpu_uuid") for series in one] == [None, None, "GPU-1"]


def test_a_gpu_keeps_its_number_whatever_is_shown_beside_it() -> None:
    """The model is unloaded from the first GPU: what the second one did must not be taken for the first one's."""
    pod = GpuNumbers()
    assert 'gpu="1",model="m"' in pod.put_into(page("GPU-1", "GPU-2"))
    assert pod.put_into(page("GPU-2", "GPU-3")).split("\n")[:2] == [
        f'{SUCCESS}{{gpu="1",model="m",version="1"}} 1',
        f'{SUCCESS}{{gpu="2",model="m",version="1"}} 1',
    ]


def test_what_is_no_label_of_a_models_series_stays() -> None:
    for text in (
        "",
        'm{gpu_uuid="GPU-1"} 1\n',
        'm{gpu_uuid="GPU-1',
        'm{model="a gpu_uuid=\\"GPU-1\\",model=\\"b",version="1"} 1\n',
        'm{gpu_uuid="a\\"b",model="m"} 1\n',
    ):
        assert GpuNumbers().put_into(text) == text


def test_a_pod_that_shows_ever_new_gpus_is_read_all_the_same() -> None:
    pod = GpuNumbers()
    for number in range(200):
        assert pod.put_into(page(f"GPU-{number}")).count("gpu_uuid") == (1 if number < 32 else 2)
