"""Which words are the address of a Triton server; what is not is told as a usage error, before anything is asked."""

import pytest

from triage.probes.triton_url import check_url


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("http://h:8000/", "http://h:8000"),
        ("HTTPS://h/triton/", "https://h/triton"),
        ("http://[fe80::1%eth0]:8000", "http://[fe80::1%eth0]:8000"),
        ("http://bücher.example:8000", "http://xn--bcher-kva.example:8000"),
        ("http://u:p%40@h:8000", "http://u:p%40@h:8000"),
    ],
)
def test_an_address_is_taken_as_it_will_be_sent(given: str, taken: str) -> None:
    assert check_url(given) == taken


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ("localhost:8000", "it has to begin with http:// or https:// and a host"),
        ("grpc://h:8001", "it has to begin with http:// or https:// and a host"),
        ("", "it has to begin with http:// or https:// and a host"),
        ("http://h:99999", "Port out of range 0-65535"),
        ("http://[::1", "Invalid IPv6 URL"),
        ("http://a b", "it has spaces or control characters in it"),
        ("http://h\n:8000", "it has spaces or control characters in it"),
        ("http://h:8000/#", "leave out what follows ? or #"),
    ],
)
def test_what_is_no_address_is_said_before_anything_is_asked(given: str, wrong: str) -> None:
    with pytest.raises(ValueError, match="is no address of Triton's HTTP port") as got:
        check_url(given)
    assert str(got.value) == (
        f"{given!r} is no address of Triton's HTTP port: {wrong}; give one such as http://localhost:8000"
    )


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("http://u:s3cret@h:none", "http://h:none"),
        ("u:s3cret@h:8000", "h:8000"),
        ("//u:s3cret@h", "//h"),
        ("http://u:s3@s3cret@h:none", "http://h:none"),
        ("http://u:s3/s3cret@h:8000", "http://h:8000"),
        ("http://u:1/s3cret@h:8000", "http://h:8000"),
        ("http://u:s3@s3/s3cret@h:8000", "http://h:8000"),
        ("http://h:8000?token=s3cret", "http://h:8000"),
    ],
)
def test_a_wrong_address_is_told_without_its_password(given: str, told: str) -> None:
    with pytest.raises(ValueError, match="is no address") as got:
        check_url(given)
    assert str(got.value).startswith(f"{told!r} is no address of Triton's HTTP port: ")
    assert "s3cret" not in str(got.value)
