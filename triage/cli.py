"""`triton-triage`: results on stdout, talk on stderr; exit 0 nothing found, 1 findings, 2 usage, 3 cannot tell."""

import click


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="triton-ops", prog_name="triton-triage")
def main() -> None:
    """Find out why NVIDIA Triton is slow or not loading a model, and what to do about it."""
