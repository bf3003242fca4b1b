"""The app of the manifest can do what the client does, and nothing else."""

from pathlib import Path

import yaml

from triage.slack.client import SCOPES
from triage.slack.message import EVENT_TYPE

ROOT = Path(__file__).parents[2]
MANIFEST = yaml.safe_load((ROOT / "deploy" / "slack-manifest.yaml").read_text())
PAGE = (ROOT / "docs" / "slack.md").read_text()


def test_its_rights_are_those_that_the_client_needs() -> None:
    assert MANIFEST["oauth_config"] == {"scopes": {"bot": list(SCOPES)}}
    assert all(f"`{scope}`" in PAGE for scope in SCOPES)


def test_it_is_a_bot_that_hears_nothing() -> None:
    assert set(MANIFEST) == {"_metadata", "display_information", "features", "oauth_config", "settings"}
    assert set(MANIFEST["features"]) == {"bot_user"}
    assert MANIFEST["features"]["bot_user"] == {"display_name": "triton-triage", "always_online": False}
    assert MANIFEST["settings"] == {
        "org_deploy_enabled": False,
        "socket_mode_enabled": False,
        "token_rotation_enabled": False,
    }


def test_slack_takes_its_names() -> None:
    """docs.slack.dev/reference/app-manifest: name 35, description 140, background colour as hex."""
    shown = MANIFEST["display_information"]
    assert len(shown["name"]) <= 35
    assert len(shown["description"]) <= 140
    assert shown["background_color"].startswith("#")
    assert MANIFEST["_metadata"] == {"major_version": 1, "minor_version": 1}


def test_the_page_names_what_stands_in_a_message() -> None:
    assert f"`{EVENT_TYPE}`" in PAGE
