"""Small trees of latency: leaves by their checks, behind one question that is always answered yes."""

import json
from typing import Any

from triage.tree import Tree, parse_tree

CHECKS: dict[str, dict[str, object]] = {
    "infer_rose": {"kind": "shift", "quantity": "infer", "to": "up"},
    "queue_rose": {"kind": "shift", "quantity": "queue", "to": "up"},
    "throttled_rose": {"kind": "shift", "quantity": "throttled", "to": "up"},
    "batches": {"kind": "setting", "field": "dynamic_batching"},
    "waits_at_gateway": {"kind": "level", "quantity": "gateway_waiting", "over": 1},
}


def leaf(name: str, *mechanism: str, **more: object) -> dict[str, Any]:
    action = {
        "do": f"mend {name}",
        "undo": "none",
        "blast_radius": "all",
        "verify": "look",
        "not_if": "never",
    }
    return {
        "id": name,
        "category": name,
        "title": f"the {name}",
        "means": f"It is the {name}.",
        "mechanism": mechanism,
        "actions": [action],
        "sources": ["a"],
        **more,
    }


NOTHING = leaf("nothing", category="cannot_tell")


def tree(*leaves: dict[str, Any], **change: object) -> Tree:
    """A walk from `top` to all these leaves and to `nothing`, unless `change` says otherwise."""
    named = {
        check
        for each in leaves
        for key in ("mechanism", "requires", "contradicted_by")
        for check in each.get(key, ())
    }
    told: dict[str, object] = {
        "tree": "small",
        "about": "a test",
        "budget": "1s",
        "probes": {"triton": {"asks": "all", "deadline": "1s"}},
        "start": "top",
        "nodes": [
            {
                "id": "top",
                "ask": "Did anything answer?",
                "test": {"kind": "answered", "probes": ["triton"]},
                "yes": [*(each["id"] for each in leaves), "nothing"],
                "no": "nothing",
                "unknown": "nothing",
            }
        ],
        "checks": [
            {"id": name, "says": name.replace("_", " "), "test": test}
            for name, test in CHECKS.items()
            if name in named
        ],
        "leaves": [*leaves, NOTHING],
        **change,
    }
    return parse_tree(json.dumps(told), "small")
