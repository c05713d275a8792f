import asyncio

import pytest
from starlette.datastructures import URL
from starlette.requests import Request
from tests.server.running import running

from prensa.errors import SettingError
from prensa.server.app import Service, make_app
from prensa.server.key import Key, read_key
from prensa.server.limits import Limits


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "key"
    path.write_text("s3cret-key\n")
    path.chmod(0o600)
    return path


def test_a_file_that_only_its_owner_reads(file):
    assert read_key(file) == "s3cret-key"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_file_that_others_may_read(file, mode):
    file.chmod(mode)
    with pytest.raises(SettingError, match=f"others may read or change.*mode {mode:o}.*chmod 600"):
        read_key(file)


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"a\nb", b"k\xc3\xa9y", b"\xff", b"x" * 5000])
def test_a_file_without_a_key(file, content):
    file.write_bytes(content)
    with pytest.raises(SettingError, match="expected one line"):
        read_key(file)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(SettingError, match="cannot be read"):
        read_key(tmp_path / "none")
    with pytest.raises(SettingError, match="cannot be read"):
        read_key(tmp_path)


@pytest.mark.parametrize(
    ("header", "fits"),
    [
        ("Bearer s3cret", True),
        ("bearer s3cret", True),
        ("Bearer s3cre", False),
        ("Bearer s3crett", False),
        ("Basic s3cret", False),
        ("s3cret", False),
        ("Bearer é", False),
        ("", False),
    ],
)
def test_the_header(header, fits):
    assert Key("s3cret").fits(header) is fits


def test_only_who_has_the_key_is_answered(models):
    with running(models("classes"), key=Key("s3cret")) as server:
        for method, path in (
            ("POST", "/"),
            ("POST", "/predict"),
            ("GET", "/info"),
            ("GET", "/metrics"),
            ("GET", "/x"),
            ("POST", "/predict/"),
            ("GET", "/metrics/"),
        ):
            refused = server.ask(method, path, {"inputs": "a"} if method == "POST" else None)
            assert (refused.status, refused.content["error_type"]) == (401, "Unauthorized"), path
            assert "routes" not in refused.content
        assert server.post("/", {"inputs": "a"}, Authorization="Bearer other").status == 401
        assert server.post("/", {"inputs": "a"}, Authorization="Bearer s3cret").status == 200
        # Whoever watches over servers has no key.
        assert (
            server.get("/health").status
            == server.get("/v2/health/ready").status
            == server.get("/").status
            == 200
        )


@pytest.mark.parametrize("host", ["x/health?", "x/?", "x/v2/health/live#", "x/health\\"])
def test_no_host_stands_for_the_key(models, monkeypatch, host):
    # What Starlette made of such a header once.
    monkeypatch.setattr(Request, "url", property(lambda request: URL(f"http://{host}/metrics")))
    with running(models("classes"), key=Key("s3cret")) as server:
        for method, path in (("GET", "/metrics"), ("GET", "/info"), ("GET", "/x"), ("DELETE", "/metrics")):
            assert server.ask(method, path, headers={"Host": host}).status == 401, path
        assert server.get("/metrics", Host=host, Authorization="Bearer s3cret").status == 200


@pytest.mark.parametrize("root", ["", "/behind/a/proxy"])
def test_who_needs_the_key_does_not_depend_on_where_the_server_is(root):
    app = make_app(Service("tiny", Limits(), Key("s3cret")))
    assert status(app, root, "/v2/health/live") == status(app, root, "/") == 200
    assert status(app, root, "/metrics") == status(app, root, "/health/metrics") == 401
    assert status(app, root, "/metrics", "Bearer s3cret") == 200


def status(app, root, path, authorization=""):
    """Ask an application without a server, and return the status."""
    scope = {
        "type": "http",
        "method": "GET",
        "path": root + path,
        "root_path": root,
        "query_string": b"",
        "headers": [(b"host", b"x/health?"), (b"authorization", authorization.encode())],
    }
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent[0]["status"]
