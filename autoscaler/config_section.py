"""What every section of the configuration is made of."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from telemetry.located_yaml import NOT_SHOWN


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _without_credentials(url: str) -> str:
    if "@" in url.split("/", 3)[2]:
        said = "holds credentials: addresses stand in the log and in answers to HPAs; leave them out"
        raise PydanticCustomError(NOT_SHOWN, said)
    return url


HttpUrl = Annotated[
    str, Field(pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$"), AfterValidator(_without_credentials)
]
