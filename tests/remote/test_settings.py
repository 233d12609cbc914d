"""Which server and which key, by argument, environment and configuration."""

import pytest

from caa_nnsight.errors import RemoteError
from caa_nnsight.remote import RemoteSettings, remote_settings
from caa_nnsight.remote.keys import ApiKey
from caa_nnsight.remote.settings import DEFAULT_HOST


def nothing():
    raise AssertionError("the configuration was read though nothing is missing")


def test_without_anything_it_is_the_public_server_without_a_key():
    settings = remote_settings()
    assert (settings.host, settings.api_key) == (DEFAULT_HOST, None)
    assert (settings.timeout, settings.patience) == (3600, 300)


def test_the_argument_comes_before_the_environment_and_that_before_the_configuration(monkeypatch):
    configured = lambda: ("http://configured", "configured-key")  # noqa: E731
    assert remote_settings(configured=configured).host == "http://configured"
    monkeypatch.setenv("NDIF_HOST", "http://environment")
    assert remote_settings(configured=configured).host == "http://environment"
    assert remote_settings("http://argument", configured=configured).host == "http://argument"


def test_the_file_comes_before_the_environment_and_that_before_the_configuration(
    monkeypatch, tmp_path
):
    configured = lambda: (None, "configured-key")  # noqa: E731
    assert remote_settings(configured=configured).api_key == ApiKey("configured-key")
    monkeypatch.setenv("NDIF_API_KEY", " environment-key\n")
    assert remote_settings(configured=configured).api_key == ApiKey("environment-key")
    file = tmp_path / "key"
    file.write_text("file-key\n")
    file.chmod(0o600)
    assert remote_settings(api_key_file=file).api_key == ApiKey("file-key")


def test_the_configuration_is_left_alone_where_nothing_is_missing(monkeypatch):
    monkeypatch.setenv("NDIF_API_KEY", "environment-key")
    remote_settings("http://argument", configured=nothing)


def test_empty_variables_count_as_unset(monkeypatch):
    monkeypatch.setenv("NDIF_HOST", " ")
    monkeypatch.setenv("NDIF_API_KEY", "")
    settings = remote_settings(configured=lambda: (None, ""))
    assert (settings.host, settings.api_key) == (DEFAULT_HOST, None)


@pytest.mark.parametrize("host", ["http://a", "http://a/", " http://a// ", "http://a\n"])
def test_slashes_and_blanks_around_a_host_are_dropped(host):
    assert RemoteSettings(host).host == "http://a"


@pytest.mark.parametrize(
    "host",
    [
        "api.ndif.us",
        "ftp://a",
        "http://",
        "",
        "http://a b",
        "http://a:x",
        "http://[::1",
        "http://ä",
    ],
)
def test_what_is_no_address_is_refused_and_an_example_given(host):
    with pytest.raises(RemoteError, match=r"no address of an NDIF server.*http://127"):
        RemoteSettings(host)


@pytest.mark.parametrize("host", ["http://me:pa55@a", "me:pa55@a", "http://me:pa55@[a"])
def test_a_password_in_the_address_is_refused_without_showing_it(host):
    with pytest.raises(RemoteError, match="password") as caught:
        RemoteSettings(host)
    assert "pa55" not in str(caught.value)


def test_a_token_in_the_address_is_refused_without_showing_it():
    with pytest.raises(RemoteError) as caught:
        RemoteSettings("http://a/?key=s3cret")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_a_timeout_out_of_range_is_refused(seconds):
    with pytest.raises(RemoteError, match="positive number of seconds"):
        RemoteSettings("http://a", timeout=seconds)


def test_a_patience_out_of_range_is_refused_and_none_at_all_is_allowed():
    assert RemoteSettings("http://a", patience=0).patience == 0
    with pytest.raises(RemoteError, match="at least 0"):
        RemoteSettings("http://a", patience=-1)


def test_settings_show_no_key():
    shown = repr(RemoteSettings("http://a", ApiKey("s3cret-s3cret")))
    assert "***" in shown
    assert "s3cret" not in shown
