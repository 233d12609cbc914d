"""A key can't be shown by accident, and is found in a text however it is escaped."""

import copy
import dataclasses
import html
import json
import pickle
import warnings
from urllib.parse import quote

import pytest

from caa_nnsight.errors import RemoteError
from caa_nnsight.remote import RemoteSettings
from caa_nnsight.remote.keys import ApiKey, read_key_file, scrub

ODD = "s3cr%t<&\"'\\key/1"


def test_a_key_shows_stars_however_it_is_printed(key):
    held = ApiKey(key)
    for shown in (repr(held), str(held), f"{held}", f"{held!r}", f"{[held]}"):
        assert key not in shown
        assert "***" in shown
    assert not hasattr(held, "__dict__")


def test_a_key_can_be_neither_pickled_nor_written_as_json(key):
    with pytest.raises(TypeError, match="can't be pickled") as caught:
        pickle.dumps(ApiKey(key))
    assert key not in str(caught.value)
    with pytest.raises(TypeError):
        json.dumps({"key": ApiKey(key)})
    fields = dataclasses.asdict(RemoteSettings("http://a", ApiKey(key)))
    assert key not in repr(fields)


def test_copies_are_the_key_itself_and_equal_keys_are_equal(key):
    held = ApiKey(key)
    assert copy.deepcopy([held])[0] is held
    assert copy.copy(held) is held
    assert held == ApiKey(f" {key}\n")
    assert len({held, ApiKey(key), ApiKey("another-key")}) == 2
    assert held != key


@pytest.mark.parametrize("secret", ["", "  ", "two words", "line\nline", "ключ-ключ", "x" * 5000])
def test_what_no_header_can_carry_is_refused_without_showing_it(secret):
    with pytest.raises(RemoteError) as caught:
        ApiKey(secret)
    assert secret.strip() == "" or secret not in str(caught.value)


@pytest.mark.parametrize(
    "escape",
    [str, str.upper, lambda text: quote(text, safe=""), quote, repr, json.dumps, html.escape],
)
@pytest.mark.parametrize("secret", [ODD, "c0ffee11-2222-4333-8444-555566667777"])
def test_a_key_is_found_however_it_is_escaped(escape, secret):
    text = scrub(f"before {escape(secret)} after", ApiKey(secret))
    assert "***" in text
    assert text.startswith("before ")
    assert text.endswith(" after")
    assert escape(secret) not in text


def test_a_key_is_found_as_often_as_it_is_there(key):
    assert scrub(f"{key},{key}", ApiKey(key)) == "***,***"


def test_a_very_short_key_is_taken_out_without_breaking_words():
    assert scrub("x: exception 'x' next", ApiKey("x")) == "***: exception '***' next"


def test_signatures_of_addresses_are_taken_out_with_and_without_a_key(key):
    text = "see https://store/a/b.pt?X-Amz-Signature=abc&x=1 and HTTP://s/?q"
    for held in (None, ApiKey(key)):
        assert scrub(text, held) == "see https://store/a/b.pt?*** and HTTP://s/?***"


def test_passwords_in_addresses_are_taken_out():
    assert (
        scrub("at http://me:pa55@host/a, not me@home", None) == "at http://***@host/a, not me@home"
    )


def test_a_file_with_one_line_is_a_key(tmp_path, key):
    file = tmp_path / "key"
    file.write_text(f"\n{key}\n\n")
    file.chmod(0o600)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_key_file(file).reveal() == key


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_file_that_others_can_read_gets_a_warning_that_says_what_to_do(tmp_path, key, mode):
    file = tmp_path / "key"
    file.write_text(key)
    file.chmod(mode)
    with pytest.warns(UserWarning, match=r"other users.*chmod 600") as caught:
        read_key_file(file)
    assert key not in str(caught[0].message)


def test_a_file_that_can_not_be_used_is_named_and_not_shown(tmp_path, key):
    for name, content, problem in (
        ("empty", b" \n", "is empty"),
        ("two", f"{key} {key}".encode(), "more than one word"),
        ("binary", key.encode() + b"\xff\xfe", "not a text file"),
    ):
        file = tmp_path / name
        file.write_bytes(content)
        file.chmod(0o600)
        with pytest.raises(RemoteError, match=problem) as caught:
            read_key_file(file)
        assert str(file) in str(caught.value)
        assert key not in str(caught.value)
        assert caught.value.__context__ is None


def test_a_missing_file_or_a_folder_is_named(tmp_path):
    with pytest.raises(RemoteError, match="No such file"):
        read_key_file(tmp_path / "missing")
    with pytest.raises(RemoteError, match="directory"):
        read_key_file(tmp_path)
