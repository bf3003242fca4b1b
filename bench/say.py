"""The results as blocks for a terminal."""

from collections.abc import Iterable, Mapping, Sequence

from bench.api import ApiResult
from bench.daemon_cost import DaemonCost
from bench.evaluation import EvaluationResult
from bench.gets import GetsResult
from bench.gpu_agent import MOST_CORES, AgentCost
from bench.loadfailure.measure import FIRST_LINE_GOAL_S, REPORT_GOAL_S, LoadFailureResult
from bench.models import ModelsResult
from bench.parser import MODELS, ParserResult
from bench.sources.delays import DelayResult, Quantiles
from bench.sources.queries import NAMES, QueriesResult
from bench.sources.ticks import TicksResult
from bench.spread import Spread
from bench.triage.measure import GOALS, TriageResult

SAID = {
    "healthy": "sources healthy",
    "late": "every answer 2 to 5 s late",
    "hanging": "one in ten of Prometheus' ranges never answered",
}


def say_parser(found: ParserResult) -> str:
    return f"""
parser, {MODELS} models: {found.lines} lines, {found.samples} samples, {found.page_bytes / 1e6:.1f} MB; identical samples
  prometheus_client   {found.reference_ms:8.2f} ms
  first scrape        {found.cold_ms:8.2f} ms   {found.cold_ratio:.1f} times as fast
  later scrapes       {found.warm_ms:8.2f} ms   {found.warm_ratio:.1f} times as fast"""


def say_api(found: ApiResult) -> str:
    return f"""
GET over TLS, {found.fleet}, {found.connections} connections, {found.body_bytes} bytes; the signal alone {found.answer_us:.0f} µs
                      ours                          bare handler                  ours / bare
  requests a second   {found.per_second!s:28}  {found.bare_per_second!s:28}  {found.per_second_ratio:.2f}
  p50 ms              {found.p50_ms!s:28}  {found.bare_p50_ms!s:28}  {found.p50_ratio:.2f}
  p99 ms              {found.p99_ms!s:28}  {found.bare_p99_ms!s:28}  {found.p99_ratio:.2f}"""


def say_gets(found: GetsResult) -> str:
    return f"""
GETs over TLS at {found.per_second:g} a second, {found.fleet}, {found.selectors:,} different selectors
                      ours                          bare handler                  ours / bare
  p50 ms              {found.p50_ms!s:28}  {found.bare_p50_ms!s:28}  {found.p50_ratio:.2f}
  p99 ms              {found.p99_ms!s:28}  {found.bare_p99_ms!s:28}  {found.p99_ratio:.2f}"""


def say_daemon(found: DaemonCost) -> str:
    return f"""
the daemon, {found.fleet} scraped each {found.interval:g} s for {found.signals} signals, {found.pages_mb:.0f} MB a round
  cores               {found.cores:.3f}
  resident MB         {found.resident_mb:.0f}, at most {found.peak_mb:.0f} since its start"""


def say_gpu_agent(found: AgentCost) -> str:
    return f"""
triton-gpu-agent, {found.gpus} GPUs x {found.instances} MIG instances each {found.interval:g} s, {found.series} series a scrape
  cores               {found.cores:.4f}   {found.ratio:.2f} of the {MOST_CORES:g} that it may take
  resident MB         {found.resident_mb:.0f}"""


def say_evaluation(found: EvaluationResult) -> str:
    answers = found.signals * found.workloads
    return f"""
every signal for every workload once, {found.fleet}: {found.signals} x {found.workloads} questions, {found.values} with a value
  CPU ms              {found.cpu_ms:.0f}
  one answer          {found.cpu_ms.median / answers:.1f} ms in the mean, {found.slowest_ms:.1f} of {found.slowest}"""


def say_models(found: ModelsResult) -> str:
    return f"""
models' states, {found.fleet}: {found.series} series, {found.page_bytes / 1e6:.1f} MB
                      CPU ms                        longest that the event loop was late, ms
  one look at all     {found.look_cpu_ms!s:28}  {found.look_late_ms!s}
  one page            {found.page_cpu_ms!s:28}  {found.page_late_ms!s}"""


def say_triage(found: TriageResult) -> str:
    first_goal, report_goal = GOALS[found.sources]
    return f"""
triton-triage p99, {found.fleet}, {SAID[found.sources]}; the cause named in {found.told} of {found.report_s.runs} rounds
  first line s        {found.first_line_s!s:28}  {found.first_line_ratio:.2f} of the goal, {first_goal:g}
  report s            {found.report_s!s:28}  {found.report_ratio:.2f} of the goal, {report_goal:g}"""


_ASKED = {
    "replicas": "the report on a Deployment of {fleet}, a fifth of which fail",
    "everything": "-A on {fleet} in workloads of five, half of which fail, some with logs of 5 MB",
}


def say_load_failure(found: LoadFailureResult) -> str:
    asked = _ASKED[found.asked].format(fleet=found.fleet)
    return f"""
triton-triage load-failure, {asked}; all told in {found.told} of {found.report_s.runs} rounds
  first line s        {found.first_line_s!s:28}  {found.first_line_ratio:.2f} of the goal, {FIRST_LINE_GOAL_S:g}
  report s            {found.report_s!s:28}  {found.report_ratio:.2f} of the goal, {REPORT_GOAL_S:g}
  kubectl, list and logs s  {found.kubectl_s!s:22}  ours / kubectl {found.kubectl_ratio:.2f}
  peak MB             {found.peak_mb!s:28}  {found.requests} requests to the API server"""


def say_queries(found: Sequence[QueriesResult]) -> str:
    counts = sorted({one.hpas for one in found})
    period = f"each for {found[0].seconds:.0f} s"
    head = "".join(f"{f'at {count:,}':>24}" for count in counts)
    lines = [
        f"\nqueries at Prometheus a minute, at so many HPAs (their questions a minute), {period}\n{'':38}{head}"
    ]
    for system in dict.fromkeys(one.system for one in found):
        told = {one.hpas: one for one in found if one.system == system}
        cells = [_queries(told[count]) if count in told else "not measured" for count in counts]
        lines.append(f"  {NAMES[system]:36}" + "".join(f"{cell:>24}" for cell in cells))
    return "\n".join(lines)


def _queries(found: QueriesResult) -> str:
    return f"{found.queries_a_minute:,.0f} ({found.gets_a_minute:,.0f})"


def say_ticks(found: TicksResult) -> str:
    scrape, tick, pace = found.scrape, found.prometheus, found.pace
    scraping = found.prometheus_scraping_cores
    return f"""
one look at {found.fleet}
                      round of scrapes              tick at Prometheus            tick / round
  MB read             {_mega(scrape.size_bytes):28}  {_mega(tick.size_bytes):28}  {found.bytes_ratio:.2f}
  s                   {scrape.seconds!s:28}  {tick.seconds!s}
  our CPU, s          {scrape.cpu_s!s:28}  {tick.cpu_s!s:28}  {found.cpu_ratio:.2f}
  Prometheus' CPU, s  {"-":28}  {tick.prometheus_cpu_s!s}
  queries             {"-":28}  {tick.queries.median:.0f}
  rows                {"-":28}  {tick.rows.median:,.0f}
  {_minute("round", pace.scrape, scrape.size_bytes, {"our CPU": scrape.cpu_s})}
  {_minute("tick", pace.tick, tick.size_bytes, {"our CPU": tick.cpu_s, "Prometheus'": tick.prometheus_cpu_s})}
  not in these: what pages cost the Tritons (not measured), and Prometheus' own scrapes ({scraping:.2f} of a core)"""


def _minute(look: str, every: float, size_bytes: Spread, cpu_s: Mapping[str, Spread]) -> str:
    times = 60 / every
    costs = [f"{size_bytes.median * times / 1e6:.0f} MB"]
    costs += [f"{found.median * times:.1f} s of {whose}" for whose, found in cpu_s.items()]
    return f"a minute, with a {look} each {every:g} s: {', '.join(costs)}"


def _mega(size_bytes: Spread) -> str:
    found = Spread(size_bytes.median / 1e6, size_bytes.least / 1e6, size_bytes.most / 1e6, size_bytes.runs)
    return format(found, ".1f")


def say_delays(found: Iterable[DelayResult], hpa_sync: float) -> str:
    found = list(found)
    steps = found[0].half.runs
    lines = [
        f"\nfrom a change of the load until the HPA's status shows it, s; {steps} steps each, the HPA syncs each {hpa_sync:g} s",
        f"{'':40}more than half of it      90 % of it",
        f"{'':38}{'p50':>8}{'p95':>8}{'most':>8}  {'p50':>8}{'p95':>8}{'most':>8}",
    ]
    lines += [
        f"  {one.system:36}{_quantiles(one.half)}  {_quantiles(one.most_of_it)}   {one.way}" for one in found
    ]
    return "\n".join(lines)


def _quantiles(found: Quantiles) -> str:
    return f"{found.p50:8.1f}{found.p95:8.1f}{found.most:8.1f}"
