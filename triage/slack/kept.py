"""Where the service keeps its incidents, so that what a message says to type works where it is typed. Pure."""

import shlex

import msgspec

from triage.slack.plain import one_line


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """As TriageReports in a namespace, or in a folder on the service's own disk; neither says that the reader knows it."""

    namespace: str = ""
    folder: str = ""

    def commands(self, incident: str) -> list[str]:
        name = shlex.quote(one_line(incident, 253))
        if self.folder:
            return [f"triton-triage report {name} --folder {shlex.quote(one_line(self.folder, 300))}"]
        where = f" -n {shlex.quote(one_line(self.namespace, 253))}" if self.namespace else ""
        return [f"triton-triage report {name}{where}", f"kubectl get triagereport {name}{where} -o yaml"]
