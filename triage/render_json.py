"""The report as JSON; the schema's name stands in it, and a key is never given another meaning under the same name."""

import msgspec

from triage.report import Report


def render_json(report: Report) -> str:
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"
