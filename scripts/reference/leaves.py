"""A verdict's page: what it means, what it rests on, what to do, and where that comes from."""

from collections.abc import Iterator

from scripts.reference.markdown import block, bullets, page, sources
from triage.tree import Action, Leaf, SharedAction, Tree


def leaf_page(tree: Tree, leaf: Leaf) -> str:
    return page(
        f"{leaf.id}: {leaf.title}",
        f"rules/trees/{tree.tree}.yaml",
        ("Meaning", f"{leaf.means}\n\nA verdict of `triton-triage {tree.tree}`."),
        ("Evidence", "\n".join(_evidence(tree, leaf)) or "It is what is left when no other verdict fits.\n"),
        ("Mitigation", "".join(map(_action, tree.actions(leaf)))),
        ("Told apart from", bullets(f"[{other}]({other}.md): {by}" for other, by in leaf.separate.items())),
        ("Sources", sources(tuple(dict.fromkeys(_sources(tree, leaf))))),
    )


def _sources(tree: Tree, leaf: Leaf) -> Iterator[str]:
    yield from leaf.sources
    for action in tree.actions(leaf):
        if isinstance(action, SharedAction):
            yield from action.sources


def _evidence(tree: Tree, leaf: Leaf) -> Iterator[str]:
    for names, what in (
        (leaf.mechanism, "How it comes about, without which it is not named:"),
        (leaf.requires, "What must be seen before it is confirmed:"),
        (leaf.excludes, "What rules it out:"),
        (leaf.contradicted_by, "What speaks against it:"),
        (leaf.shows, "Told besides, where it is seen:"),
    ):
        if names:
            yield f"{what}\n\n{bullets(tree.check(name).says for name in names)}"
    if leaf.over:
        followers = ", ".join(f"[{other}]({other}.md)" for other in leaf.over)
        yield f"Nearer the root than {followers}, where both fit.\n"


def _action(action: Action) -> str:
    command = f"\n{block(action.command)}" if action.command else ""
    rows = (
        ("Undo", action.undo),
        ("Touches", action.blast_radius),
        ("Verify", action.verify),
        ("Not if", action.not_if),
    )
    return (
        f"**{action.do}**\n{command}\n{_where(action)}{bullets(f'{name}: {text}' for name, text in rows)}\n"
    )


def _where(action: Action) -> str:
    """Such as `Where a and b are known, and c is not.`"""
    known = f"{_listed(action.needs)} known" if action.needs else ""
    unknown = f"{_listed(action.lacks)} not{'' if action.needs else ' known'}" if action.lacks else ""
    told = ", and ".join(filter(None, (known, unknown)))
    return f"Where {told}.\n" if told else ""


def _listed(names: tuple[str, ...]) -> str:
    return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'}"
