"""Planted secrets do not come out, and what only looks like one comes out as it went in."""

import json
import random
import string
from collections.abc import Callable
from pathlib import Path

import pytest

from triage.redact import Redactor, load_redaction

RULES = load_redaction(Path(__file__).parents[2] / "rules" / "redaction.yaml")
ALNUM = string.ascii_letters + string.digits
BASE64 = ALNUM + "+/"
BASE64_URL = ALNUM + "-_"
HEX = "0123456789abcdef"
LOWER = string.ascii_lowercase


def made_up(alphabet: str, length: int) -> str:
    """Random, the same in every run, and like a real one in that it has digits and both cases where the alphabet does."""
    chosen = random.Random(f"{alphabet}{length}")
    while True:
        secret = "".join(chosen.choices(alphabet, k=length))
        if length < 8 or all(
            set(secret) & set(some) or not set(alphabet) & set(some) for some in (LOWER, string.digits)
        ):
            return secret


def redact(text: str) -> str:
    return Redactor(RULES).text(text)


def assert_gone(secret: str, redacted: str, carrier: str = "") -> None:
    """No six characters of it are left that the text around it does not have itself."""
    left = [secret[at : at + 6] for at in range(max(1, len(secret) - 5)) if secret[at : at + 6] in redacted]
    assert not [piece for piece in left if piece not in carrier], redacted


SHAPES = {
    "glog": "E1122 16:00:00.000000 1 model_lifecycle.cc:621] failed to load 'llm' version 1: Internal: {}",
    "cri": "2026-11-22T16:00:00.000000000Z stderr F I1122 16:00:00.000000 1 pb_stub.cc:402] {}",
    "compose": "triton-1  | UNAVAILABLE: Internal: {}; at:",
    "exception": "huggingface_hub.errors.GatedRepoError: 401 Client Error. ({}) Cannot access gated repo",
    "quoted": "ValueError: cannot use '{}' here",
    "comma": "tried ['{}', None], then gave up",
    "url": "GET https://models.example.com/v2/{}/resolve/main/config.json HTTP/1.1 403",
    "json": '{{"level":"error","msg":"download failed","detail":"{}"}}',
    "escaped": '{{"log":"{{\\"level\\":\\"error\\",\\"detail\\":\\"{}\\"}}\\n","stream":"stderr"}}',
    "event": "Back-off pulling image: unauthorized: {}: authentication required",
}

TOKENS: dict[str, tuple[str, str]] = {
    "aws-access-key-id": ("AKIA{}", made_up("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)),
    "aws-temporary-id": ("ASIA{}", made_up("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)),
    "aws-session-token": ("IQoJb3JpZ2luX2Vj{}=", made_up(BASE64, 200)),
    "gcp-api-key": ("AIza{}", made_up(BASE64_URL, 35)),
    "gcp-oauth": ("ya29.{}", made_up(BASE64_URL, 140)),
    "github-classic": ("ghp_{}", made_up(ALNUM, 36)),
    "github-oauth": ("gho_{}", made_up(ALNUM, 36)),
    "github-fine": ("github_pat_{}", made_up(ALNUM, 22) + "_" + made_up(ALNUM, 59)),
    "gitlab": ("glpat-{}", made_up(BASE64_URL, 20)),
    "slack-bot": ("xoxb-{}", f"{made_up(string.digits, 12)}-{made_up(ALNUM, 24)}"),
    "slack-app": ("xapp-1-{}", made_up(ALNUM, 60)),
    "hugging-face": ("hf_{}", made_up(string.ascii_letters, 34)),
    "nvidia": ("nvapi-{}", made_up(BASE64_URL, 64)),
    "openai": ("sk-{}", made_up(ALNUM, 48)),
    "openai-project": ("sk-proj-{}", made_up(BASE64_URL, 120)),
    "anthropic": ("sk-ant-api03-{}AA", made_up(BASE64_URL, 93)),
    "databricks": ("dapi{}", made_up(HEX, 32)),
    "npm": ("npm_{}", made_up(ALNUM, 36)),
    "pypi": ("pypi-AgEIcHlwaS5vcmc{}", made_up(BASE64_URL, 120)),
    "jwt": ("eyJ{}", f"{made_up(BASE64_URL, 30)}.eyJ{made_up(BASE64_URL, 90)}.{made_up(BASE64_URL, 43)}"),
    "pem-base64": ("LS0tLS1CRUdJTiBQUklWQVRFIEtFWS{}", made_up(BASE64, 200)),
    "docker-base64": ("eyJhdXRocyI6{}", made_up(BASE64, 100)),
}


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        (kind, shape)
        for kind in TOKENS
        for shape in SHAPES
        # Base64 may go on over the slashes of a path.
        if shape != "url" or kind not in ("aws-session-token", "pem-base64", "docker-base64")
    ],
)
def test_a_token_that_names_itself_is_masked_wherever_it_stands(kind: str, shape: str) -> None:
    written, secret = TOKENS[kind]
    line = SHAPES[shape].format(written.format(secret))
    redactor = Redactor(RULES)
    redacted = redactor.line(line)
    assert_gone(secret, redacted)
    assert redactor.masked == 1
    before, after = line.split(written.format(secret))
    assert redacted.startswith(before)
    assert redacted.endswith(after)


WORD = made_up(ALNUM, 10)
LONG = made_up(ALNUM, 24)
KEY40 = made_up(BASE64, 40)
CARRIERS: dict[str, tuple[str, str]] = {
    "env": ("HF_TOKEN={}", LONG),
    "env with a symbol": ("export DB_PASSWORD={} && tritonserver", WORD + "&x,Y;" + LONG),
    "aws secret": ("aws_secret_access_key = {}", KEY40),
    "aws spelled out": ("AWS Secret Access Key: {}", KEY40),
    "credential file": (
        '{{"s3": {{"": {{"secret_key": "{}", "key_id": "", "region": "us-east-1"}}}}}}',
        KEY40,
    ),
    "camel": ("&Credentials{{AccessKeyID:x SecretAccessKey:{} Region:eu}}", KEY40),
    "query": ("GET /m.onnx?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature={}&x=1", made_up(HEX, 64)),
    "query credential": ("X-Amz-Credential={}%2F20261122%2Feu", made_up(ALNUM, 20)),
    "security token": ("?X-Amz-Security-Token={}&X-Amz-Date=1", made_up(ALNUM + "%", 90)),
    "sigv4 header": ("AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host, Signature={}", made_up(HEX, 64)),
    "azure sas": ("https://a.blob.core.windows.net/m?sv=2024&sp=r&sig={}", made_up(ALNUM, 43) + "%3D"),
    "azure key": ("AccountName=a;AccountKey={}==;EndpointSuffix=core.windows.net", made_up(BASE64, 86)),
    "azure file": ('"as": {{"": {{"account_str": "a", "account_key": "{}"}}}}', made_up(BASE64, 86)),
    "gcp file": (
        '"private_key": "-----BEGIN PRIVATE KEY-----\\n{}\\n-----END PRIVATE KEY-----\\n"',
        made_up(BASE64, 64),
    ),
    "slack webhook": (
        "https://hooks.slack.com/services/{}",
        f"T{made_up(ALNUM, 9)}/B{made_up(ALNUM, 9)}/{LONG}",
    ),
    "wandb": ("wandb: WANDB_API_KEY={}", made_up(HEX, 40)),
    "ngc": ("NGC_CLI_API_KEY: {}", made_up(ALNUM, 84)),
    "bearer": ("Authorization: Bearer {}", LONG),
    "bearer dict": ("headers={{'Authorization': 'Bearer {}', 'Accept': '*/*'}}", LONG),
    "basic": ('"authorization":"Basic {}=="', made_up(BASE64, 22)),
    "proxy": ("Proxy-Authorization: Basic {}", made_up(BASE64, 24)),
    "api key header": ("x-api-key: {}", LONG),
    "url": ("redis://default:{}@redis:6379/0", WORD),
    "url with an at": ("amqp://triton:{}@mq/v", WORD + "@" + LONG),
    "s3 url": ("https://{}@github.com/corp/models.git", made_up(ALNUM, 40)),
    "yaml": ("    password: {}", WORD),
    "yaml plain": ("password: {}", made_up(LOWER, 9)),
    "before the next key": ("user: x password: {} host: y", made_up(LOWER, 9)),
    "json": ('{{"client_secret": "{}"}}', WORD),
    "json with a quote": ('{{"password": "{}"}}', WORD + '\\"' + LONG),
    "json with spaces": ('{{"passphrase": "{}"}}', "correct horse battery staple"),
    "json escaped": ('"{{\\"token\\": \\"{}\\"}}"', LONG),
    "json escaped twice": ('"{{\\\\\\"access_token\\\\\\": \\\\\\"{}\\\\\\"}}"', LONG),
    "bare token": ("token={}", LONG),
    "bare token in hex": ("token: {}", made_up(HEX, 40)),
    "python": ("Client('x', api_key='{}')", WORD),
    "restricted api": ("--http-restricted-api=model-repository:admin-key={}", WORD),
    "restricted grpc": (
        "--grpc-restricted-protocol=model-repository,model-config:infer={} --http-port=8000",
        WORD,
    ),
    "restricted header": ("('triton-grpc-protocol-admin-key', '{}')", WORD),
    "option": ("python3 launch.py --password {} --port 1", WORD),
    "option list": ('"args":["--hf-token","{}","--x"]', LONG),
    "redis cache": ("--cache-config redis,password={},host=redis", WORD),
    "env pair": ('{{"name":"AWS_SECRET_ACCESS_KEY","value":"{}"}}', KEY40),
    "env pair spaced": ('{{"name": "HF_TOKEN", "value": "{}"}}', LONG),
    "describe": ("      AWS_SECRET_ACCESS_KEY:  {}", KEY40),
    "auths": ('{{"auths":{{"registry.example":{{"auth":"{}=="}}}}}}', made_up(BASE64, 40)),
    "cookie": ("Cookie: session={}; theme=dark", LONG),
    "set-cookie": ("'set-cookie': 'sid={}; HttpOnly'", LONG),
    "curl": ("+ curl -u triton:{} https://repo.example.com/m.onnx", WORD),
    "netrc": ("machine api.wandb.ai login user password {}", made_up(HEX, 40)),
    "percent": ("next=/cb%3Faccess_token%3D{}", LONG),
    "secret in one line": ('{{"kind":"Secret","data":{{"x":"{}"}},"metadata":{{}}}}', made_up(BASE64, 16)),
}


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        (name, shape)
        for name in CARRIERS
        for shape in ("{}", *(SHAPES[name] for name in ("glog", "cri", "compose", "event")))
        # A plain word with prose behind it is prose: 'wrong password: denied by policy'.
        if name != "yaml plain" or not shape.endswith("authentication required")
    ],
)
def test_a_secret_is_masked_by_what_stands_around_it(name: str, shape: str) -> None:
    carrier, secret = CARRIERS[name]
    redacted = redact(shape.format(carrier.format(secret)))
    assert_gone(secret, redacted, carrier)
    assert redact(redacted) == redacted


@pytest.mark.parametrize("name", sorted(set(CARRIERS) - {"json escaped twice", "aws spelled out"}))
def test_a_secret_is_masked_in_a_log_that_was_wrapped_in_json(name: str) -> None:
    carrier, secret = CARRIERS[name]
    wrapped = json.dumps({"log": carrier.format(secret) + "\n", "stream": "stderr"})
    redacted = redact(wrapped)
    assert_gone(json.dumps(secret)[1:-1], redacted, carrier)
    assert '"stream": "stderr"' in redacted or "cookie" in name


ORDINARY = """\
I1122 16:00:00.000000 1 server.cc:674] | python | /opt/tritonserver/backends/python/libtriton_python.so |
eos_token_id: 2, pad_token_id: 0, bos_token_id=1, max_tokens=512 max_new_tokens: 128 num_tokens=128
"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<|begin_of_text|>"
{"add_bos_token": true, "mask_token": "[MASK]", "sep_token": "[SEP]", "image_token_index": 32000, "token_type_ids": [0, 0]}
loading file special_tokens_map.json, tokenizer_config.json, tokenizer.json from tokenizer_dir: /models/llm/tokenizer
ValueError: Tokenizer class LlamaTokenizerFast2 does not exist or is not currently imported.
AttributeError: 'NoneType' object has no attribute 'token'; token 'item' was not found, <|endoftext|>
json.decoder.JSONDecodeError: Unexpected token: <
from_pretrained(model_id, token=None, use_auth_token=False, trust_remote_code=True)
    self.client = Client(password=self.password, api_key=os.environ["API_KEY"], token=token)
    secret = get_secret(name)
the secret sauce is a bigger batch; password authentication failed for user "triton"
wrong password: denied; the access token is expired; API key is missing; authorization: required
commit 5f2c1a9be37d40c8a6f1e2d3c4b5a69788776655, GPU-6f8d1c2e-9a1b-4c3d-8e7f-0a1b2c3d4e5f
image registry.example/nvidia/tritonserver@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
unexpected inference output 'dGVuc29yX25hbWVfMQ', expected ZmVhdHVyZXNfMTI4eDEyOA for model sk-model
/models/sk-learn-gradient-boosting-regressor-v2/1/model.plan: file is not valid, hf_hub_download hf_model_dir
error: header 'triton-grpc-protocol-admin-key' is missing, see --grpc-restricted-protocol and --http-restricted-api
volume "kube-api-access-x7k2p" default-token-x7k2p triton-sa-token-abcde hf-token-2 tls-secret
MountVolume.SetUp failed for volume "tls" : secret "tls-secret" not found
Error: couldn't find key HF_TOKEN in Secret default/hf-token; references non-existent secret key: hf_token
spec.containers{triton} Failed: Error: secret "triton-model-credentials" not found
{"name":"HF_TOKEN","valueFrom":{"secretKeyRef":{"name":"hf-token","key":"token"}}}
{"name":"MAX_TOKENS","value":"4096"},{"name":"TOKENIZER","value":"meta-llama/Llama-3.1-8B-Instruct"}
Environment: HF_TOKEN: <set to the key 'token' in secret 'hf'> Optional: false
automountServiceAccountToken: false, imagePullSecrets: regcred, secretName: hf-secret
--tokenizer-dir /models/llm --max-tokens 128 --pad-token 0 --tokens-per-block 64
s3://minio.minio:9000/models/a@1 http://triton:8000/v2/models/bert@2 grpc://[::1]:8001
GOOGLE_APPLICATION_CREDENTIALS=/var/run/secrets/gcp/key.json PWD=/workspace ssl_private_key=/etc/tls/tls.key
data: [1, 2, 3], data_type: TYPE_FP32, key: input_ids value: 7
E1122 16:00:00.000000 1 model.py:12] KeyError: 'password'
password=${REDIS_PASSWORD} token: $(HF_TOKEN) api_key=<your key> secret: "***" access_token=null
-----BEGIN CERTIFICATE----- is expected in /etc/tls/ca.crt; -----BEGIN PRIVATE KEY----- is missing
signature_def['serving_default'] Signature=serving_default, cookie: disabled, basic authentication
{"Authorization": "Bearer <token>"} Authorization: Bearer $(TOKEN) Bearer realm="https://registry.example/proxy_auth"
""".splitlines()


@pytest.mark.parametrize("line", ORDINARY)
def test_what_only_looks_like_a_secret_stays(line: str) -> None:
    redactor = Redactor(RULES)
    assert redactor.line(line) == line
    assert redactor.text(json.dumps({"log": line + "\n", "stream": "stderr"})).count("[MASKED:") == 0
    assert redactor.value({"message": line, "lines": [line]}) == {"message": line, "lines": [line]}
    assert redactor.masked == 0


def test_ordinary_lines_stay_as_one_log() -> None:
    assert redact("\n".join(ORDINARY)) == "\n".join(ORDINARY)


def test_what_is_masked_is_neither_masked_nor_counted_again() -> None:
    lines = [carrier.format(secret) for carrier, secret in CARRIERS.values()]
    redactor = Redactor(RULES)
    once = [redactor.text(line) for line in lines]
    counted = redactor.masked
    assert counted >= len(lines)
    assert [redactor.text(line) for line in once] == once
    assert redactor.value(once) == once
    assert redactor.masked == counted


def test_masks_tell_the_kind_and_nothing_else() -> None:
    """The same mask for a long and a short secret; a mask in a value does not keep the rest of the value."""
    assert redact("password=abc") == redact("password=" + "abc" * 50) == "password=[MASKED:credential]"
    assert redact("password=[MASKED:jwt]hunter2") == "password=[MASKED:credential]"
    assert redact(f"api_key=sk-{made_up(ALNUM, 48)}") == "api_key=[MASKED:llm-api-key]"


def test_a_line_of_endless_secrets_is_masked_whole() -> None:
    """Each mask uncovers one more; nobody waits for the last."""
    chained = "password: hunter " * 5 + "secret: tiger " * 40
    assert "hunter" not in redact(chained)
    assert "tiger" not in redact(chained)


@pytest.mark.parametrize(
    "hostile",
    [
        lambda size: "password=" * (size // 9),
        lambda size: "-----BEGIN PRIVATE KEY-----" * (size // 27),
        lambda size: "a" * size,
        lambda size: "://" * (size // 3),
        lambda size: "eyJ" + "a" * size,
        lambda size: '"password": "' + "\\" * size,
        lambda size: "\u00e9" * (size // 2) + "password=h\u00fcnter\ud800x",
        lambda size: "kind: Secret {data: {" + '"a": "b",' * (size // 9),
        lambda size: "curl " * (size // 5),
    ],
)
def test_a_hostile_line_of_five_megabytes_is_read(hostile: Callable[[int], str]) -> None:
    """Every pattern is RE2's, which is linear; this fails by the suite's time limit if what is around them is not."""
    line = hostile(5_000_000)
    redactor = Redactor(RULES)
    assert redactor.line(redactor.line(line)) == redactor.line(line)


def test_every_pattern_is_re2s() -> None:
    assert {type(rule.pattern).__module__ for rule in RULES.rules} == {"re2"}


def test_a_password_of_signs_alone_is_masked() -> None:
    assert redact('password="!#$%^*("') == 'password="[MASKED:credential]"'
