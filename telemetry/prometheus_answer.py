"""What stands around every answer to an instant query: the kind of its result, and why a part may be missing.

Format: https://prometheus.io/docs/prometheus/latest/querying/api/#format-overview
"""

from typing import Generic, TypeVar

import msgspec

Row = TypeVar("Row")


class _Data(msgspec.Struct, Generic[Row]):
    result_type: str = msgspec.field(name="resultType")
    result: list[Row]


class Answer(msgspec.Struct, Generic[Row]):
    data: _Data[Row]
    warnings: tuple[str, ...] = ()
    is_partial: bool = msgspec.field(name="isPartial", default=False)

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why rows may be missing: Thanos tells of stores that did not answer, VictoriaMetrics says `isPartial`."""
        return self.warnings + (("the answer is partial (isPartial)",) if self.is_partial else ())

    def rows(self, kind: str) -> list[Row]:
        """Raises ValueError where the result is of another kind, such as a scalar."""
        if self.data.result_type != kind:
            raise ValueError(f"expected a {kind}, got {self.data.result_type[:20]!r}")
        return self.data.result
