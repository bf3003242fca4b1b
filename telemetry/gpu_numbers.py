"""A pod's GPUs by number in its models' series, so that pods that serve the same models show the same series.

A GPU's UUID is the one label by which the pages of a thousand such pods differ, and it is in most of their lines: each would hold
hundreds of kilobytes of series of its own. For a model's series it only tells twins apart, which a number does as well. A GPU's own
series keep it: two pods may show the same GPU."""

from typing import Final

_LABEL: Final = 'gpu_uuid="'
_OF_MODEL: Final = '",model='
_MOST: Final = 32
"""More than any pod has; what further ones it shows keep their names."""


class GpuNumbers:
    """Of one pod, in the order in which its pages named them first."""

    def __init__(self) -> None:
        self._numbered: dict[str, str] = {}

    def put_into(self, lines: str) -> str:
        """Lines of a page with `gpu="NUMBER"` for `gpu_uuid="UUID"` wherever a model follows, as it does on a Triton's page, where
        labels are in order (prometheus-cpp's text serializer, of a map)."""
        for named, numbered in self._numbered.items():
            lines = lines.replace(named, numbered)
        at = lines.find(_LABEL)
        while at >= 0 and len(self._numbered) < _MOST:
            end = lines.find('"', at + len(_LABEL))
            if lines.startswith(_OF_MODEL, end):
                named = lines[at : end + len(_OF_MODEL)]
                numbered = self._numbered[named] = f'gpu="{len(self._numbered)}{_OF_MODEL}'
                lines = lines.replace(named, numbered)
            at = lines.find(_LABEL, at + 1)
        return lines
