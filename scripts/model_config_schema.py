"""Writes triage/repository/schema: the schema of config.pbtxt, as the release of Triton's client library below carries it.

    pip download --no-deps --dest FOLDER tritonclient==2.73.0
    python -m scripts.model_config_schema FOLDER/tritonclient-2.73.0-py3-none-any.whl

A newer schema only adds fields, so the newest one calls nothing unknown that an older Triton knows."""

import ast
import hashlib
import sys
import zipfile
from pathlib import Path

RELEASE = "2.73.0"
SHA256 = "1f5cec19b0568e037ec4d716ae702984b3ab93e35f72b8f72c5135374dd2be9a"
SOURCE = "tritonclient/grpc/model_config_pb2.py"
LICENSE = f"tritonclient-{RELEASE}.dist-info/licenses/LICENSE.txt"
FOLDER = Path(__file__).parent.parent / "triage/repository/schema"
NOTICE = f"""\
model_config.bin is the serialized FileDescriptorProto of model_config.proto of the Triton Inference Server
(triton-inference-server/common: protobuf/model_config.proto), taken unchanged out of the Python package tritonclient {RELEASE}
by scripts/model_config_schema.py. Its licence:

"""


def main(wheel: Path) -> None:
    content = wheel.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != SHA256:
        raise SystemExit(f"{wheel}: its SHA-256 is {found}, and that of tritonclient {RELEASE} is {SHA256}")
    with zipfile.ZipFile(wheel) as archive:
        generated, license = archive.read(SOURCE).decode(), archive.read(LICENSE).decode()
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "model_config.bin").write_bytes(_descriptor(generated))
    (FOLDER / "NOTICE").write_text(NOTICE + license)


def _descriptor(generated: str) -> bytes:
    """The serialized descriptor: the one bytes literal that the generated module registers."""
    for node in ast.walk(ast.parse(generated)):
        match node:
            case ast.Call(
                func=ast.Attribute(attr="AddSerializedFile"), args=[ast.Constant(value=bytes(found))]
            ):
                return found
    raise SystemExit(f"{SOURCE} registers no descriptor")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
