"""What machines, memory, loading and new versions can do to a fleet's latency."""

import random
from dataclasses import replace

from tests.fleetsim.drawing import Play, asked_model, at_onset, draw_setup, some
from tests.fleetsim.fleet import Fleet
from tests.fleetsim.hosts import Node, Pod

ROLLED_OUT = frozenset({"rollout_or_termination"})


def load_blocks_http(rng: random.Random) -> Play:
    setup = draw_setup(rng, busy=(0.15, 0.35))
    takes, between = rng.uniform(3, 9), rng.uniform(25, 90)

    def load(fleet: Fleet) -> None:
        for pod in fleet.endpoints():
            pod.front.block(fleet.rng.randrange(8), takes)
            pod.say("model_lifecycle.cc:472] loading: shadow:1")
            fleet.loop.after(takes, pod.say, "model_lifecycle.cc:838] successfully loaded 'shadow'")
        fleet.loop.after(between * fleet.rng.uniform(0.7, 1.3), load, fleet)

    return Play(
        setup,
        at_onset(load),
        notes=f"a model is reloaded over HTTP every {between:.0f} s and takes {takes:.0f} s",
    )


def http_connection_skew(rng: random.Random) -> Play:
    setup = draw_setup(rng, busy=(0.1, 0.25), pods=(1, 4), rate=(10, 20))
    each = setup.rate * (1 - setup.swing) / setup.pods
    thread_ms = 1000 / each * rng.uniform(0.8, 0.95)
    template = replace(setup.template, http_thread_ms=thread_ms)

    def fault(fleet: Fleet) -> None:
        fleet.gateway.settings.connections = 1

    notes = f"one connection a pod, and {thread_ms:.0f} ms of its thread for each request"
    return Play(replace(setup, template=template), at_onset(fault), notes=notes)


def model_load_contention(rng: random.Random) -> Play:
    setup = draw_setup(rng, gpu=False, busy=(0.2, 0.4))
    takes, between, factor = rng.uniform(20, 60), rng.uniform(80, 200), rng.uniform(2.0, 4.0)

    def load(fleet: Fleet) -> None:
        for pod in fleet.endpoints():
            pod.factor = factor
            pod.node.neighbour_cores += 2
            pod.say("model_lifecycle.cc:472] loading: shadow:1")
            fleet.loop.after(takes, done, pod)
        fleet.loop.after(between, load, fleet)

    def done(pod: Pod) -> None:
        pod.factor = 1.0
        pod.node.neighbour_cores -= 2
        pod.say("model_lifecycle.cc:838] successfully loaded 'shadow'")

    return Play(setup, at_onset(load), notes=f"another model loads every {between:.0f} s for {takes:.0f} s")


def cold_start(rng: random.Random) -> Play:
    cold = {"cold_executions": rng.randint(15, 40), "cold_factor": rng.uniform(5, 12)}
    setup = draw_setup(
        rng, busy=(0.15, 0.3), pods=(4, 8), model=cold, template={"load_seconds": rng.uniform(100, 240)},
        onset_minutes=(10, 20),
    )  # fmt: skip
    warm = tuple(replace(model, cold_executions=0) for model in setup.template.models)
    start = replace(setup, template=replace(setup.template, models=warm))

    def fault(fleet: Fleet) -> None:
        fleet.loop.at(
            fleet.onset - setup.template.load_seconds,
            fleet.rollout,
            ("image of triton: 24.09 -> 24.10",),
            setup.template,
        )

    return Play(start, fault, ROLLED_OUT, "each new pod is slow for its first executions")


def cpu_throttling(rng: random.Random) -> Play:
    setup = draw_setup(
        rng,
        gpu=False,
        busy=(0.12, 0.2),
        instances=(1, 2),
        batching=False,
        template={"load_seconds": rng.uniform(5, 15)},
        swing=0.1,
    )
    model = asked_model(setup)
    threads = model.service.cpu_threads * model.instances
    few = model.service.cpu_threads * rng.uniform(0.5, 0.65)
    usual = threads * 2
    before = replace(setup, template=replace(setup.template, cpu_limit=usual))
    after = replace(setup.template, cpu_limit=few)
    changes = (f"cpu limit of triton: {usual:.1f} -> {few:.1f}",)
    return Play(before, at_onset(lambda fleet: fleet.rollout(changes, after)), notes=changes[0])


def noisy_neighbour(rng: random.Random) -> Play:
    setup = draw_setup(rng, gpu=False, busy=(0.2, 0.4), pods=(3, 8))
    stolen = rng.random() < 0.3
    much = rng.uniform(1.8, 3.2)

    def fault(fleet: Fleet) -> None:
        node = fleet.rng.choice(fleet.nodes)
        if stolen:
            node.stolen = 1 - 1 / much
        else:
            node.neighbour_cores = node.cores * much

    return Play(
        setup, at_onset(fault), notes="time stolen by the hypervisor" if stolen else "more work than cores"
    )


def bad_node(rng: random.Random) -> Play:
    setup = draw_setup(rng, busy=(0.2, 0.35), pods=(3, 8), template={"load_seconds": 10.0})
    factor, count = rng.uniform(1.8, 3.0), rng.randint(1, 2)

    def fault(fleet: Fleet) -> None:
        node = Node(
            "node-x",
            setup.node_cores,
            setup.node_cores * 0.05,
            defect=factor,
            ready_since=fleet.begin - 86400,
        )
        fleet.nodes.append(node)
        for pod in some(fleet.rng, fleet, count / len(fleet.pods)):
            fleet.add_pod(node=node)
            fleet.loop.after(12, fleet.remove_pod, pod)

    return Play(setup, at_onset(fault), notes="pods were moved to a node that is slower than it says")


def gpu_clocks(rng: random.Random) -> Play:
    setup = draw_setup(rng, gpu=True, busy=(0.25, 0.45))
    share, clock = rng.choice((0.01, 0.5, 1.0)), rng.uniform(0.3, 0.6)
    hot = rng.random() < 0.5

    def fault(fleet: Fleet) -> None:
        for pod in some(fleet.rng, fleet, share):
            gpu = pod.gpu
            assert gpu is not None
            gpu.clock = gpu.full_clock * clock
            gpu.throttled = rng.uniform(0.4, 0.95)
            if hot:
                gpu.temperature = 91.0
            else:
                gpu.power_limit = gpu.power = 110.0

    return Play(setup, at_onset(fault), notes="too hot" if hot else "a power cap")


def gpu_shared(rng: random.Random) -> Play:
    setup = draw_setup(rng, gpu=True, busy=(0.2, 0.4))
    share, taken = rng.choice((0.01, 0.5, 1.0)), rng.uniform(0.35, 0.6)

    def fault(fleet: Fleet) -> None:
        for pod in some(fleet.rng, fleet, share):
            gpu = pod.gpu
            assert gpu is not None
            gpu.others_busy, gpu.others_memory = taken, rng.uniform(3, 9) * 1e9
            gpu.power *= 1.5

    return Play(setup, at_onset(fault), notes=f"others take {taken:.0%} of the GPU")


def gpu_memory_exhausted(rng: random.Random) -> Play:
    setup = draw_setup(
        rng, gpu=True, busy=(0.2, 0.4), gateway={"tries": 3, "retries_on": frozenset({500, 502, 503})}
    )
    fails, share = rng.uniform(0.4, 0.8), rng.choice((0.5, 1.0))
    takes = asked_model(setup).service.mean_ms() * rng.uniform(0.6, 1.2)

    def fault(fleet: Fleet) -> None:
        for pod in some(fleet.rng, fleet, share):
            gpu = pod.gpu
            assert gpu is not None
            gpu.own_memory = gpu.memory * 0.995
            defects = pod.server.models[setup.model].defects
            defects.fails, defects.fails_after_ms = fails, takes
            for _ in range(3):
                pod.say(
                    "bfc_arena.cc:376] Non-zero status code returned while running Conv node. "
                    "BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer of size 268435456",
                    "E",
                )  # fmt: skip

    return Play(setup, at_onset(fault), notes=f"{fails:.0%} of the executions find no memory")


def memory_leak(rng: random.Random) -> Play:
    setup = draw_setup(rng, busy=(0.35, 0.5), pods=(2, 4))

    def fault(fleet: Fleet) -> None:
        for pod in fleet.pods:
            filled = pod.memory_used / pod.memory_limit
            reaches = fleet.onset + rng.uniform(-60, 420)
            pod.memory_grows = (0.9 - filled) * pod.memory_limit / (reaches - fleet.loop.now)

    return Play(
        setup, fault, notes="memory grows through the whole window; the limit is near from the onset on"
    )


def slower_version(rng: random.Random) -> Play:
    setup = draw_setup(rng, busy=(0.2, 0.35))
    factor = rng.uniform(1.5, 2.3)
    model = asked_model(setup)
    service = replace(
        model.service, base_ms=model.service.base_ms * factor, per_item_ms=model.service.per_item_ms * factor
    )
    new = replace(model, version="2", service=service)
    if rng.random() < 0.5:
        return Play(
            setup,
            at_onset(lambda fleet: fleet.reconfigure(new, "version 2 added")),
            notes=f"{factor:.1f} times slower",
        )
    template = replace(setup.template, models=(new,), load_seconds=15.0)
    changes = (f"model image of triton: {model.name}-1 -> {model.name}-2",)
    return Play(
        setup,
        at_onset(lambda fleet: fleet.rollout(changes, template)),
        notes=f"{factor:.1f} times slower, rolled out",
    )


def observer_effect(rng: random.Random) -> Play:
    setup = draw_setup(rng, gpu=False, busy=(0.35, 0.5), batching=False)
    change = rng.choice(("--log-verbose=2", "--trace-config level=TENSORS --trace-config rate=1"))
    template = replace(
        setup.template,
        slowness=rng.uniform(1.3, 1.6),
        copying=rng.uniform(8, 20),
        load_seconds=rng.uniform(5, 20),
    )
    changes = (f"args of triton: + {change}",)
    return Play(setup, at_onset(lambda fleet: fleet.rollout(changes, template)), notes=changes[0])


def storage_slow(rng: random.Random) -> Play:
    setup = draw_setup(rng, gpu=False, busy=(0.2, 0.35), pods=(3, 8))
    factor = rng.uniform(2.0, 3.5)
    wide = rng.random() < 0.4

    def fault(fleet: Fleet) -> None:
        for node in fleet.nodes if wide else [fleet.rng.choice(fleet.nodes)]:
            node.disk_busy = 0.97
            node.defect = factor

    return Play(setup, at_onset(fault), notes="a model that reads from a disk that is busy")


CAUSES = (
    load_blocks_http,
    http_connection_skew,
    model_load_contention,
    cold_start,
    cpu_throttling,
    noisy_neighbour,
    bad_node,
    gpu_clocks,
    gpu_shared,
    gpu_memory_exhausted,
    memory_leak,
    slower_version,
    observer_effect,
    storage_slow,
)
