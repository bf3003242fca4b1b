"""The README is the front door: what it says to type exists, and what it shows is what ships."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

import autoscaler.cli
import triage.cli
from autoscaler.answer import Reason
from autoscaler.config import parse_config, read_config
from autoscaler.signal import load_signals
from telemetry.rules_dir import rules_dir

CHECKOUT = Path(__file__).parents[1]
README = (CHECKOUT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)


def test_the_hpa_shown_is_the_hpa_that_ships() -> None:
    [shown] = [body for language, body in BLOCKS if language == "yaml"]
    shipped = (CHECKOUT / "deploy/examples/hpa.yaml").read_text()
    assert yaml.safe_load(shown) == yaml.safe_load(shipped)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:^|`)make (\w+)", README, re.MULTILINE))))
def test_every_make_target_named_exists(target: str) -> None:
    subprocess.run(["make", "-n", target], cwd=CHECKOUT, check=True, capture_output=True)


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"(?:-f |\]\()((?:deploy|docs|rules)[\w./-]*)", README)))
)
def test_every_file_named_exists(path: str) -> None:
    assert (CHECKOUT / path).exists()


@pytest.mark.parametrize(
    ("program", "command"),
    sorted(set(re.findall(r"(?<!install )triton-(autoscaler|triage) ([a-z][\w-]*)", README))),
)
def test_every_command_named_exists(program: str, command: str) -> None:
    programs = {"autoscaler": autoscaler.cli.main, "triage": triage.cli.main}
    assert CliRunner().invoke(programs[program], [command, "--help"]).exit_code == 0


@pytest.mark.parametrize("line", sorted(re.findall(r"^triton-triage .*?(?=  #|$)", README, re.MULTILINE)))
def test_every_triage_command_shown_has_the_options_that_it_shows(line: str) -> None:
    _, command, *words = line.split()
    known = {option for parameter in triage.cli.main.commands[command].params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= known


def test_the_table_lists_every_signal_with_its_target() -> None:
    rows = re.findall(r"^\| (`[a-z0-9_:`, ]+`) \|[^|]*\| (\w+)", README, re.MULTILINE)
    told = {name: target for names, target in rows for name in re.findall(r"`([^`]+)`", names)}
    assert told == {name: row.hpa.target for name, row in load_signals(rules_dir() / "signals").items()}


def test_the_example_configuration_and_the_manifest_are_valid() -> None:
    read_config(CHECKOUT / "deploy/examples/config.yaml")
    manifests = yaml.safe_load_all((CHECKOUT / "deploy/install.yaml").read_text())
    [configuration] = [each for each in manifests if each["kind"] == "ConfigMap"]
    parse_config(configuration["data"]["config.yaml"])


def test_every_reason_for_no_data_has_its_remedy() -> None:
    page = (CHECKOUT / "docs" / "autoscaler.md").read_text()
    told = {
        name
        for cell in re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", page, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", cell)
    }
    assert {str(reason) for reason in Reason} - told <= {"unknown_signal", "not_representable"}
