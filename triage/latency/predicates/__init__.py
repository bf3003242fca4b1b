"""Questions of the latency tree that need more than the kinds of test can say: each a plain function of the incident, named in the
tree by its name here. Pure."""

from collections.abc import Callable, Mapping

from triage.answers import Answer
from triage.latency.incident import Incident
from triage.latency.predicates.batch_sizes import rare_batch_size
from triage.latency.predicates.callers import callers_seen
from triage.latency.predicates.computing import (
    a_part_moved,
    always_slow_node,
    computes_slower,
    computing_grew,
    durations_vary,
    gpu_busier,
    infer_tail_alone,
    infer_tail_matters,
    new_pods_slow,
    version_is_slower,
)
from triage.latency.predicates.failing import (
    a_gpu_is_full,
    a_pod_fails_whole,
    behind_the_gateway,
    failing_in_backend,
    gap_grew,
    gateway_adds_it,
    gateway_sees_errors,
    order_holds,
    triton_answers_them_all,
)
from triage.latency.predicates.fleet import (
    hpa_at_max,
    hpa_blind,
    hpa_flapping,
    hpa_late,
    memory_runs_out,
    observing_changed,
    pods_wait_for_a_node,
)
from triage.latency.predicates.gpu_errors import gpu_errors_seen
from triage.latency.predicates.gpus import a_clock_fell, gpu_held_down
from triage.latency.predicates.logs import backend_fails, memory_fails, outlasts_loads
from triage.latency.predicates.mixes import another_model_grew, hardware_full
from triage.latency.predicates.neighbours import cpu_neighbour_seen, gpu_neighbour_seen
from triage.latency.predicates.nodes import bad_node, one_node_alone
from triage.latency.predicates.queueing import (
    bursts,
    drifts,
    even_traffic,
    half_second_tail,
    hardware_idle,
    instances_busy,
    instances_idle,
    queue_full,
    queue_is_the_delay,
    queue_matters,
    queue_policy,
    queueing_grew,
    two_speeds,
)
from triage.latency.predicates.replacing import outlasts_replacing, pods_replaced, replacing_felt
from triage.latency.predicates.sizes import requests_are_larger, sizes_explain_it, sizes_seen
from triage.latency.predicates.symptoms import (
    ended,
    inside,
    moved,
    nothing_rose,
    stalled,
    tail_stayed,
    usual_for_this_hour,
)
from triage.latency.predicates.warm_path import warm_path_seen

PREDICATES: Mapping[str, Callable[[Incident], Answer]] = {
    function.__name__: function
    for function in (
        moved,
        nothing_rose,
        tail_stayed,
        inside,
        ended,
        stalled,
        usual_for_this_hour,
        instances_busy,
        instances_idle,
        hardware_idle,
        queueing_grew,
        queue_is_the_delay,
        queue_matters,
        queue_full,
        queue_policy,
        two_speeds,
        half_second_tail,
        bursts,
        drifts,
        even_traffic,
        computes_slower,
        computing_grew,
        gpu_busier,
        a_clock_fell,
        gpu_held_down,
        gpu_errors_seen,
        infer_tail_alone,
        infer_tail_matters,
        durations_vary,
        rare_batch_size,
        a_part_moved,
        version_is_slower,
        new_pods_slow,
        one_node_alone,
        always_slow_node,
        bad_node,
        callers_seen,
        another_model_grew,
        requests_are_larger,
        sizes_explain_it,
        sizes_seen,
        hardware_full,
        cpu_neighbour_seen,
        gpu_neighbour_seen,
        failing_in_backend,
        a_pod_fails_whole,
        gateway_sees_errors,
        order_holds,
        triton_answers_them_all,
        gap_grew,
        a_gpu_is_full,
        backend_fails,
        memory_fails,
        outlasts_loads,
        gateway_adds_it,
        behind_the_gateway,
        hpa_at_max,
        hpa_blind,
        hpa_flapping,
        hpa_late,
        pods_wait_for_a_node,
        memory_runs_out,
        observing_changed,
        pods_replaced,
        replacing_felt,
        outlasts_replacing,
        warm_path_seen,
    )
}
