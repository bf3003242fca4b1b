"""A config.pbtxt read by the protobuf text format with Triton's own schema, as Triton reads it. Pure.

The schema (`schema/`) is that of a newer release than most servers run: it only adds fields, so what it does not know no older
Triton knows either. Library: protobuf's Python text format, whose words differ from those of Triton's C++ parser."""

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

SCHEMA_RELEASE = "2.73.0"
"""The release of Triton whose schema this is."""
_POSITION = re.compile(r"^(\d+):(\d+) : ")
_MOST_SAID = 200


@dataclass(eq=False)
class ConfigError(Exception):
    """Why it does not parse; line and column count from 1, and are 0 where the parser names none."""

    line: int
    column: int
    said: str

    def __str__(self) -> str:
        return f"{self.line}:{self.column}: {self.said}" if self.line else self.said


def parse_config(text: bytes) -> Any:
    """The message `inference.ModelConfig`. Raises ConfigError."""
    from google.protobuf import text_format

    message = _message_class()()
    try:
        decoded = text.decode()
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise ConfigError(line, error.start - text.rfind(b"\n", 0, error.start), "not UTF-8") from error
    try:
        text_format.Parse(decoded, message)
    except text_format.ParseError as error:
        said = _without_values(" ".join(_POSITION.sub("", str(error)).split()))
        raise ConfigError(error.GetLine() or 0, error.GetColumn() or 0, said[:_MOST_SAID]) from error
    except RecursionError as error:
        raise ConfigError(0, 0, "nested too deeply") from error
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:  # the parser's own slips
        raise ConfigError(0, 0, f"{type(error).__name__}: {error}"[:_MOST_SAID]) from error
    return message


def _without_values(said: str) -> str:
    """The parser quotes the line and the word that it stumbled over: a parameter's value may be a secret, by any form."""
    if "string_value" not in said:
        return said
    return re.sub(r": '.*", ", behind string_value", re.sub(r"^'.*': ", "", said))


def as_json(message: Any) -> dict[str, Any]:
    """As Triton's own `GET /v2/models/MODEL/config` names the fields; defaults are left out."""
    from google.protobuf import json_format

    told: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return told


@cache
def _message_class() -> Any:
    from google.protobuf import descriptor_pool, message_factory

    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile((files(__package__) / "schema/model_config.bin").read_bytes())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("inference.ModelConfig"))
