"""The configuration is checked whole: each mistake with its line, and no secret in what is said of it."""

from pathlib import Path

import pytest

from telemetry.located_yaml import InvalidFileError
from triage.oncall.config import OncallConfig, read_oncall_config

LEAST = """\
tritons:
  namespaces: [prod]
webhook:
  token_file: /run/token
"""


def read(folder: Path, text: str) -> OncallConfig:
    file = folder / "config.yaml"
    file.write_text(text)
    return read_oncall_config(file)


def mistakes(folder: Path, text: str) -> list[tuple[int, str]]:
    with pytest.raises(InvalidFileError) as told:
        read(folder, text)
    return [(problem.line, problem.message) for problem in told.value.problems]


def test_what_has_to_be_said_is_little_and_the_rest_has_a_default(tmp_path: Path) -> None:
    config = read(tmp_path, LEAST)
    assert (config.webhook.port, config.plain.port, config.at_once) == (9095, 8080, 2)
    assert (config.follow_up, config.tritons.unready_after) == (600.0, 120.0)
    assert (config.record.namespace, config.data) == (None, Path("/var/lib/triton-triage"))
    assert (config.slack, config.prometheus) == (None, None)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "the file is empty"),
        ("webhook: {token_file: t}\n", 1, "'tritons' is missing"),
        (LEAST.replace("[prod]", "[]"), 2, "namespaces"),
        (LEAST.replace("token_file", "tokenfile"), 4, "did you mean 'token_file'"),
        (LEAST.replace("token_file: /run/token", "port: 9095"), 3, "anybody could send alerts"),
        (LEAST + "  tls: {certificate: c, key: k}\n  port: 70000\n", 6, "port"),
        (LEAST + "at_once: 99\n", 5, "at_once"),
        (LEAST + "follow_up: soon\n", 5, "follow_up"),
        (LEAST + "record: {keep: -1d}\n", 5, "keep"),
        (LEAST + "record:\n  most: 3\n", 6, "most"),
        (LEAST + "slack:\n  token_file: t\n  channel: '#alerts'\n", 7, "channel"),
        (LEAST + "slack:\n  channel: C0ALERTS1\n", 5, "'token_file' is missing"),
        (
            LEAST + "slack: {token_file: t, channel: C0ALERTS1, mentions: {critical: [everyone]}}\n",
            5,
            "everyone",
        ),
        (LEAST + "prometheus:\n  url: ftp://prometheus\n", 6, "url"),
        (LEAST + "at_once: 1\nat_once: 2\n", 6, "given twice"),
        (LEAST + "plain: [\n", 6, "not valid YAML"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, line: int, says: str) -> None:
    told = mistakes(tmp_path, text)
    assert (line, True) in [(where, says in said) for where, said in told], told


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    told = mistakes(tmp_path, LEAST + "at_once: 0\nfollow_up: x\nplane: {}\n")
    assert [line for line, _ in told] == [5, 6, 7]


def test_a_client_certificate_stands_for_the_token(tmp_path: Path) -> None:
    text = LEAST.replace("token_file: /run/token", "tls: {certificate: c, key: k, client_ca: a}")
    assert read(tmp_path, text).webhook.token_file is None


def test_a_password_in_an_address_is_refused_and_not_shown(tmp_path: Path) -> None:
    url = "https://admin:hunter2@prometheus"
    with pytest.raises(InvalidFileError) as told:
        read(tmp_path, LEAST + f"prometheus:\n  url: {url}\n")
    assert "holds credentials" in str(told.value)
    assert "hunter2" not in str(told.value)


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    for make in (lambda: None, lambda: (tmp_path / "config.yaml").write_bytes(b"\xff\xfe\x00")):
        make()
        with pytest.raises(InvalidFileError, match="cannot be read"):
            read_oncall_config(tmp_path / "config.yaml")
