"""One request each: what is sent, what comes back, and what every failure says."""

import contextlib
import datetime
import json
import logging
import socket
import traceback

import pytest

from caa_nnsight.errors import RemoteError
from caa_nnsight.remote import RemoteSettings, Traffic, client
from caa_nnsight.remote.client import NdifClient, envelope
from caa_nnsight.remote.faults import (
    BusyError,
    ForeignServerError,
    RefusedError,
    UnreachableError,
    retry_after,
)
from caa_nnsight.remote.keys import ApiKey
from tests.remote.fake_ndif import SIGNATURE, Answer, Drop, Hang

CALLS = {
    "ping": ("/ping", lambda one: one.ping()),
    "connected": ("/connected", lambda one: one.connected()),
    "status": ("/status", lambda one: one.status()),
    "environment": ("/env", lambda one: one.environment()),
    "whoami": ("/whoami", lambda one: one.whoami()),
    "submit": ("/request", lambda one: one.submit(b"work", envelope("m"))),
    "response": ("/response", lambda one: one.response("job0")),
    "download": ("/store", lambda one: one.download(f"{one.host}/store/job0.pt?{SIGNATURE}")),
}


@pytest.fixture
def traffic():
    return Traffic()


@pytest.fixture
def remote(ndif, key, traffic):
    with NdifClient(RemoteSettings(ndif.host, ApiKey(key)), traffic) as one:
        one.host = ndif.host
        ndif.add_job("job0", ["RUNNING"])
        yield one


def test_a_server_that_is_in_order_answers_every_question(ndif, remote):
    ndif.environment["packages"]["nnsight"] = "0.8.1"
    remote.ping()
    assert remote.connected() is True
    assert remote.status() == {"deployments": {}, "cluster": {}}
    assert remote.environment()["packages"] == {"nnsight": "0.8.1"}
    assert remote.whoami() == {"email": None, "tags": []}
    assert remote.response("job0")["status"] == "RUNNING"
    assert remote.response("nobody") is None


def test_a_cluster_that_is_away_is_an_answer_and_no_error(ndif, remote):
    ndif.connected = False
    assert remote.connected() is False


def test_a_job_is_sent_as_ndif_wants_it(ndif, remote, key):
    sent = remote.submit(b"\x00\xffwork", envelope("model", {"peft": "p"}))
    assert (sent.id, sent.status) == ("job0", "RECEIVED")
    assert ndif.blobs == [b"\x00\xffwork"]
    assert ndif.envelopes == [
        {"model_key": "model", "session_id": "", "compress": True, "env": {"peft": "p"}}
    ]
    headers = ndif.seen[-1][2]
    assert headers["ndif-api-key"] == key
    assert headers["nnsight-version"].count(".") >= 1
    assert headers["python-version"].startswith("3.")
    assert float(headers["ndif-timestamp"]) > 1e9


def test_without_a_key_no_key_is_sent(ndif):
    with NdifClient(RemoteSettings(ndif.host)) as one:
        one.submit(b"work", envelope("m"))
        one.whoami()
    assert all("ndif-api-key" not in headers for _, _, headers in ndif.seen)


def test_the_key_goes_to_the_server_only_and_not_to_where_results_are(ndif, remote):
    remote.download(f"{ndif.host}/store/job0.pt?{SIGNATURE}")
    assert "ndif-api-key" not in ndif.seen[-1][2]


def test_a_redirect_is_not_followed_so_that_the_key_goes_nowhere_else(ndif, remote):
    ndif.faults["/request"] = [Answer(307, headers={"location": "https://elsewhere/request?a=b"})]
    with pytest.raises(RefusedError, match=r"moved to https://elsewhere/request\?\*\*\*"):
        remote.submit(b"work", envelope("m"))
    assert len(ndif.seen) == 1


@pytest.mark.parametrize(
    ("keys", "given", "expected"),
    [
        (None, None, "accepted"),
        (None, "anything", "accepted"),
        ({"good-key-1"}, "good-key-1", "accepted"),
        ({"good-key-1"}, None, "missing"),
        ({"good-key-1"}, "malformed", "malformed"),
        ({"good-key-1"}, "other-key-2", "unknown"),
    ],
)
def test_a_key_is_checked_without_sending_work(ndif, keys, given, expected):
    ndif.keys = keys
    with NdifClient(RemoteSettings(ndif.host, ApiKey(given) if given else None)) as one:
        assert one.check_key() == expected
    assert ndif.jobs == []


@pytest.mark.parametrize(
    "answer", [Answer(503), Answer(400, "Malformed nnsight version"), Answer(404)]
)
def test_what_says_nothing_of_the_key_is_not_taken_for_a_word_on_it(ndif, remote, answer):
    ndif.faults["/request"] = [answer]
    assert remote.check_key() == "not checked"


def test_calls_and_bytes_are_counted(ndif, remote, traffic):
    remote.ping()
    assert (traffic.http_calls, traffic.bytes_up, traffic.bytes_down) == (1, 0, len(b'"pong"'))
    remote.submit(b"w" * 10_000, envelope("m"))
    assert traffic.http_calls == 2
    assert 10_000 < traffic.bytes_up < 11_000
    before = traffic.bytes_down
    remote.download(f"{ndif.host}/store/job0.pt")
    assert traffic.bytes_down - before == len(ndif.content)
    ndif.faults["/store"] = [Drop(sent=100)]
    with pytest.raises(UnreachableError):
        remote.download(f"{ndif.host}/store/job0.pt")
    assert traffic.http_calls == 4
    assert traffic.as_dict()["bytes_up"] == traffic.bytes_up


# -- failures ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("sent", [None, 0, 3])
def test_a_connection_that_breaks_off_is_a_failure_and_never_half_an_answer(
    ndif, remote, name, sent
):
    path, call = CALLS[name]
    ndif.faults[path] = [Drop(sent)]
    with pytest.raises(UnreachableError, match="broke off") as caught:
        call(remote)
    assert caught.value.reason == "dropped"
    call(remote)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("status", [429, 500, 502, 504, 520])
def test_a_busy_server_says_so_with_what_it_asks_for(ndif, remote, name, status):
    path, call = CALLS[name]
    ndif.faults[path] = [Answer(status, "Not now.", {"retry-after": "7"})]
    with pytest.raises(BusyError, match=rf"\(HTTP {status}\)") as caught:
        call(remote)
    assert caught.value.retry_after == 7
    # An object store's words may quote the signature.
    assert ("Not now." in str(caught.value)) == (name != "download")


@pytest.mark.parametrize("name", [name for name in CALLS if name not in ("response", "download")])
@pytest.mark.parametrize("status", [400, 404, 413])
def test_a_refusal_says_what_the_server_says(ndif, remote, name, status):
    path, call = CALLS[name]
    ndif.faults[path] = [Answer(status, "No.")]
    with pytest.raises(RefusedError, match=rf"refuses \(HTTP {status}\): No\.$"):
        call(remote)


def test_a_page_for_a_browser_is_not_shown(ndif, remote):
    ndif.faults["/ping"] = [Answer(502, body=b"<html><h1>Bad gateway</h1></html>")]
    with pytest.raises(BusyError, match=r"\(HTTP 502\)\.$"):
        remote.ping()


def test_a_long_detail_is_cut(ndif, remote):
    ndif.faults["/ping"] = [Answer(400, "long " * 1000)]
    with pytest.raises(RefusedError) as caught:
        remote.ping()
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("name", [name for name in CALLS if name not in ("connected", "download")])
@pytest.mark.parametrize("body", [b"<html>hello</html>", b"", b"[1]", b"{}", b"\xff"])
def test_an_answer_of_another_kind_is_no_ndif(ndif, remote, name, body):
    path, call = CALLS[name]
    ndif.faults[path] = [Answer(200, body=body)]
    if body == b"{}" and name in ("environment", "whoami"):
        assert call(remote) == {}
        return
    with pytest.raises(ForeignServerError, match="no NDIF server: check the host"):
        call(remote)


@pytest.mark.parametrize("job", ["../../status", "a/b", "", "a b", 7, None])
def test_a_job_id_that_is_none_is_refused(ndif, remote, job):
    ndif.faults["/request"] = [Answer(200, body=json.dumps({"id": job}).encode())]
    with pytest.raises(ForeignServerError):
        remote.submit(b"work", envelope("m"))


def test_a_job_id_can_not_lead_to_another_address(ndif, remote):
    assert remote.response("../status") is None
    assert ndif.seen[-1][1] == "/response/..%2Fstatus"


@pytest.mark.parametrize(
    "url", ["ftp://a/b", "/etc/passwd", "file:///etc/passwd", "http://", "http://[a", ""]
)
def test_a_result_is_only_fetched_over_http(remote, url):
    with pytest.raises(ForeignServerError):
        remote.download(url)


def test_nothing_listening_is_told_from_a_name_that_is_unknown():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for host, reason, hint in (
        (f"http://127.0.0.1:{port}", "refused", "nothing listens there"),
        ("http://no-such-host.invalid", "name", "name is not known"),
    ):
        with (
            NdifClient(RemoteSettings(host)) as one,
            pytest.raises(UnreachableError, match=hint) as caught,
        ):
            one.ping()
        assert caught.value.reason == reason
        assert host in str(caught.value)


def test_a_plain_server_behind_https_is_a_failure_of_the_secure_connection(ndif):
    host = ndif.host.replace("http:", "https:")
    with (
        NdifClient(RemoteSettings(host)) as one,
        pytest.raises(UnreachableError, match="certificate") as caught,
    ):
        one.ping()
    assert caught.value.reason == "tls"


def test_a_frozen_server_is_not_waited_for_for_ever(ndif, remote, monkeypatch):
    monkeypatch.setattr(client, "ANSWER_SECONDS", 0.05)
    ndif.faults["/ping"] = [Hang()]
    with pytest.raises(UnreachableError, match="didn't answer in time"):
        remote.ping()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        (" 12 ", 12),
        ("-1", None),
        ("inf", None),
        ("soon", None),
        ("Wed, 21 Oct 2015 07:28:30 GMT", 30),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0),
        (None, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(header, seconds):
    now = datetime.datetime(2015, 10, 21, 7, 28, tzinfo=datetime.UTC)
    assert retry_after(header, now) == seconds


# -- nothing leaks -----------------------------------------------------------------------


def everything_said_by(error: BaseException) -> str:
    """All texts of an error: its own, those of what it came from, and the traceback.

    Not the source lines, which in a test hold what is looked for.
    """
    texts = []
    for one in traceback.TracebackException.from_exception(error, capture_locals=False).stack:
        texts.append(f"{one.filename} {one.name}")
    while error is not None:
        # Errors of the HTTP library keep the request, and with it the key.
        assert type(error).__module__.partition(".")[0] not in ("httpx", "httpcore")
        texts += [str(error), repr(error), repr(vars(error))]
        error = error.__cause__ or error.__context__
    return "\n".join(texts)


FAULTS = {
    "echoed": lambda key: Answer(400, f"Invalid API key format: '{key}'. API keys must be UUIDs."),
    "echoed, escaped": lambda key: Answer(422, [{"input": {"ndif-api-key": key.upper()}}]),
    "echoed far in": lambda key: Answer(500, "x" * 390 + key),
    "echoed in a page": lambda key: Answer(403, body=f"<p>{key}</p>".encode()),
    "echoed in place of JSON": lambda key: Answer(200, body=key.encode()),
    "redirected": lambda key: Answer(302, headers={"location": f"http://a/?key={key}"}),
    "dropped": lambda key: Drop(),
    "cut": lambda key: Drop(sent=4),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", CALLS)
def test_no_failure_shows_the_key_or_a_signature(ndif, remote, key, caplog, name, fault):
    caplog.set_level(logging.DEBUG)
    path, call = CALLS[name]
    ndif.faults[path] = [FAULTS[fault](key)]
    said = ""
    with contextlib.suppress(RemoteError):
        try:
            call(remote)
        except RemoteError as error:
            said = everything_said_by(error)
            raise
    said += "\n".join(record.getMessage() for record in caplog.records)
    assert caplog.records
    for secret in (key, key.upper(), key[4:20], SIGNATURE):
        assert secret not in said


def test_the_address_of_a_download_is_logged_without_its_signature(ndif, remote, caplog):
    caplog.set_level(logging.DEBUG)
    remote.download(f"{ndif.host}/store/job0.pt?{SIGNATURE}")
    assert f"{ndif.host}/store/job0.pt?***" in caplog.text
    assert SIGNATURE not in caplog.text
    # Other downloads of the same library are none of our business.
    logging.getLogger("httpx").info("GET http://a/?b=c")
    assert "http://a/?b=c" in caplog.text


def test_a_failed_download_names_the_object_store_without_signature_or_password(remote):
    with pytest.raises(
        UnreachableError, match=r"the object store http://127\.0\.0\.1:9:"
    ) as caught:
        remote.download(f"http://me:pa55@127.0.0.1:9/job0.pt?{SIGNATURE}")
    assert "pa55" not in everything_said_by(caught.value)
    assert SIGNATURE not in everything_said_by(caught.value)
