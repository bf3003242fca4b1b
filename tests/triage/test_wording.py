"""What is filled into a sentence or a command: cut where it is read, and whole where it is pasted."""

import shlex

from triage.wording import command, fill

LONG = "x" * 250


def test_what_is_pasted_is_whole_and_what_is_read_is_cut() -> None:
    known = {"resume_rollout": f"kubectl patch {LONG} -p '{{}}'", "model": LONG, "repository": f"/a b/{LONG}"}
    assert fill("{resume_rollout}", known) == known["resume_rollout"]
    assert fill("Run `ls {repository}` for {model}.", known) == f"Run `ls '/a b/{LONG}'` for {'x' * 199}…."
    told = command("triton-triage load-failure --repository {repository}", known)
    assert told is not None
    assert shlex.split(told)[-1] == known["repository"]
