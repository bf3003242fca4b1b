"""The kernel's CPU quota of a container: so much time in each 100 ms, and then a halt until the next."""

PERIOD = 0.1


class CpuQuota:
    """Books the work of executions on periods, in the order in which they start."""

    def __init__(self, cores: float) -> None:
        self.cores = cores
        self._left: dict[int, float] = {}
        self._throttled: set[int] = set()
        self._busy: set[int] = set()

    def end_of(self, start: float, seconds: float, threads: float) -> float:
        """When work ends that takes `seconds` on `threads` cores without a quota."""
        if threads <= 0 or seconds <= 0:
            return start + seconds
        now, work = start, seconds * threads
        period = int(now / PERIOD)
        while work > 1e-9:
            ends = (period + 1) * PERIOD
            left = self._left.get(period, self.cores * PERIOD)
            used = min(work, left, max(0.0, ends - now) * threads)
            self._left[period] = left - used
            self._busy.add(period)
            work -= used
            now += used / threads
            if work <= 1e-9:
                break
            if used >= left - 1e-12:
                self._throttled.add(period)
            now, period = ends, period + 1
        return now

    def take(self) -> tuple[int, int]:
        """Periods with work, and those of them that were throttled, since the last call; what is past is forgotten."""
        counted = len(self._busy), len(self._throttled)
        self._busy.clear()
        self._throttled.clear()
        return counted

    def forget(self, before: float) -> None:
        oldest = int(before / PERIOD)
        self._left = {period: left for period, left in self._left.items() if period >= oldest}
