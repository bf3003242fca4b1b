"""Commands of the report for the cluster that was looked at. Pasted without `--kubeconfig` and `--context` where these were given,
they would change another one. Pure.

Flags as documented: kubectl and flux take `--kubeconfig` and `--context`, helm `--kube-context`; kubectl passes a plug-in only what
stands behind its name; argocd has servers of its own."""

import re
import shlex

import msgspec

from triage.evidence import Asked
from triage.report import Mitigation, Report

_TOOLS = ("kubectl ", "helm ", "flux ")
_WORD = re.compile(r"""'[^']*'|"(?:[^"\\]|\\.)*"| && |.""", re.S)
_IN_TEXT = re.compile(r"\bkubectl(?= (?:-n|get|describe|top|uncordon) )")


def for_the_same_cluster(report: Report, asked: Asked) -> Report:
    """The report with the flags of the request in each command; the same where none were given."""
    if not (asked.kubeconfig or asked.context):
        return report
    return msgspec.structs.replace(
        report,
        actions=tuple(_mitigation(each, asked) for each in report.actions),
        freeze=_command(report.freeze, asked) if report.freeze else report.freeze,
    )


def _mitigation(action: Mitigation, asked: Asked) -> Mitigation:
    return msgspec.structs.replace(
        action,
        do=_text(action.do, asked),
        command=_command(action.command, asked) if action.command else action.command,
        undo=_command(action.undo, asked) if action.undo.startswith(_TOOLS) else _text(action.undo, asked),
        verify=_text(action.verify, asked),
    )


def _command(command: str, asked: Asked) -> str:
    return " && ".join(_one(part, asked) for part in _parts(command))


def _parts(command: str) -> list[str]:
    """Between `&&`, but for such as stands in quotes: a model may be called anything."""
    parts = [""]
    for found in _WORD.finditer(command):
        if found[0] == " && ":
            parts.append("")
        else:
            parts[-1] += found[0]
    return parts


def _one(command: str, asked: Asked) -> str:
    tool, _, rest = command.partition(" ")
    match tool:
        case "kubectl" if rest.startswith("argo "):
            return f"{command}{_flags(asked)}"
        case "kubectl":
            return f"kubectl{_flags(asked)} {rest}"
        case "helm":
            return f"{command}{_flags(asked, '--kube-context')}"
        case "flux":
            return f"{command}{_flags(asked)}"
        case _:
            return command


def _text(text: str, asked: Asked) -> str:
    return _IN_TEXT.sub(lambda _: f"kubectl{_flags(asked)}", text)


def _flags(asked: Asked, context: str = "--context") -> str:
    given = (("--kubeconfig", asked.kubeconfig), (context, asked.context))
    return "".join(f" {flag} {shlex.quote(value)}" for flag, value in given if value)
