"""Lives of Triton pods as the pages that they show: births, rollouts, restarts, reloads, stalls, failures, gaps, GPUs.

Drawn from a seed, in slots of one scrape interval; None is a scrape that got no answer. What the pages mean is nobody's business
here: the same pages go through two sources, which must say the same."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

COUNTED = (
    "nv_inference_request_success",
    "nv_inference_queue_duration_us",
    "nv_inference_compute_input_duration_us",
    "nv_inference_compute_infer_duration_us",
    "nv_inference_compute_output_duration_us",
)
FAILED = "nv_inference_request_failure"
PENDING = "nv_inference_pending_request_count"
SUMMARY = "nv_inference_request_summary_us"

Sample = tuple[str, dict[str, str], float]
"""Family, labels, number."""


@dataclass
class _Model:
    """One loaded model version, with the counters of its present life."""

    name: str
    gpu: str
    draw: random.Random
    counts: dict[str, float] = field(default_factory=lambda: dict.fromkeys(COUNTED, 0.0))
    failures: dict[str, float] = field(default_factory=dict)
    pending: float = 0.0
    p99: float = float("nan")
    mood: str = "busy"
    """busy, idle, or hung: requests wait and none completes."""

    def live(self) -> None:
        """One slot."""
        if self.draw.random() < 0.25:
            self.mood = self.draw.choice(["busy", "busy", "idle", "hung"])
        self.pending = float(self.draw.randint(1, 9)) if self.mood == "hung" else 0.0
        if self.mood == "busy":
            requests = self.draw.randint(0, 300)
            self.pending = float(self.draw.randint(0, 4))
            for family in COUNTED:
                each = 1 if family == COUNTED[0] else self.draw.randint(0, 20_000)
                self.counts[family] += requests * each
            self.p99 = self.draw.randint(1, 10**6) if requests else float("nan")
            if self.draw.random() < 0.2:
                reason = self.draw.choice(["BACKEND", "REJECTED", "OTHER"])
                self.failures[reason] = self.failures.get(reason, 0.0) + self.draw.randint(1, 5)

    def samples(self) -> Iterator[Sample]:
        labels = {"model": self.name, "version": "1"}
        shown = {**labels, "gpu_uuid": self.gpu} if self.gpu else labels
        for family, value in self.counts.items():
            yield family, shown, value
            if self.gpu:
                yield family, labels, 0.0  # the twin without a GPU
        yield PENDING, labels, self.pending
        yield SUMMARY, {**shown, "quantile": "0.99"}, self.p99
        yield SUMMARY, {**shown, "quantile": "0.5"}, self.p99 / 2
        for reason, value in self.failures.items():
            yield FAILED, {**labels, "reason": reason}, value


@dataclass(frozen=True)
class Life:
    """`pages[k]` is what the scrape of slot k finds; the container runs from slot `born` on. A pod that is born in sight was seen
    before; the others were at work before anybody looked."""

    born: int
    ends: int
    born_in_sight: bool
    pages: list[list[Sample] | None]


def draw_life(seed: int, slots: int) -> Life:
    draw = random.Random(seed)
    in_sight = draw.random() < 0.4
    born = draw.randint(4, slots // 2) if in_sight else 0
    ends = draw.randint(slots // 2, slots) if draw.random() < 0.3 else slots
    gpu = f"GPU-{seed}" if draw.random() < 0.5 else ""
    names = ["resnet50", 'we"ird\\name', "org/llm:v2"]
    models = [_Model(name, gpu, draw) for name in names[: draw.randint(0, 3)]]
    if not in_sight:
        for model in models:
            for _ in range(draw.randint(0, 20)):
                model.live()
    pages: list[list[Sample] | None] = [None] * born
    mute = 0
    while len(pages) < slots:
        event = draw.choices(["", "restart", "gap", "unload", "load"], [80, 5, 8, 4, 6])[0]
        if event == "restart":
            models = [_Model(model.name, gpu, draw) for model in models]
            mute = draw.choice([0, 0, 1, 3])
        elif event == "gap":
            mute = draw.choice([1, 1, 2, 4, 9])
        elif event == "unload" and models:
            models.pop(draw.randrange(len(models)))
        elif event == "load" and (free := [name for name in names if name not in {m.name for m in models}]):
            models.append(_Model(draw.choice(free), gpu, draw))
        for model in models:
            model.live()
        alive: Sample = ("nv_cpu_utilization", {}, draw.random())
        page = [alive, *(sample for model in models for sample in model.samples())]
        pages.append(None if mute or len(pages) >= ends else page)
        mute = max(0, mute - 1)
    return Life(born, ends, in_sight, pages)
