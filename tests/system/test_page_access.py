# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may see the page, and what is refused."""

import http.client
import io
import shutil
import ssl
import subprocess
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from server.blenders import Blender
from tests.system.harness import ClientProcess, NodeProcess, Scene, StartNode, cli
from tests.system.page import Browserless, token_in


@pytest.fixture
def page(node: NodeProcess) -> Browserless:
    return Browserless(node)


def test_without_a_token_there_is_only_the_door(page: Browserless) -> None:
    for path in ("/api/node", "/api/jobs", "/api/events", "/api/openapi.json", "/api/nothing"):
        assert page.ask("GET", path, headers={}).status == 401, path
    door = page.ask("GET", "/", headers={})
    assert door.status == 401
    assert b"python -m server page" in door.body
    for token in ("", "x", page.token[:-1], page.token + "x", "\u00fc".encode().decode("latin-1")):
        assert page.ask("GET", "/api/node", headers={"Authorization": f"Bearer {token}"}).status == 401, token
        assert page.ask("GET", f"/?token={token.encode('latin-1').hex()}", headers={}).status == 401


def test_the_link_becomes_a_cookie_that_only_the_own_page_can_use(page: Browserless) -> None:
    # GIVEN somebody who opens the link
    came = page.ask("GET", f"/?token={page.token}", headers={})
    assert (came.status, came.headers["location"]) == (303, "/")
    cookie = came.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and page.token not in cookie
    own = {"Cookie": cookie.split(";")[0]}
    here = f"http://127.0.0.1:{page.port}"
    # THEN the page may look
    assert page.ask("GET", "/api/node", headers=own).status == 200
    assert page.ask("GET", "/", headers=own).status == 200
    # AND change things
    assert page.ask("POST", "/api/uploads", {}, {**own, "Origin": here}).status == 201
    assert page.ask("POST", "/api/uploads", {}, {**own, "Sec-Fetch-Site": "same-origin"}).status == 201
    # BUT no other page, nor one that does not say what it is
    for origin in (
        "http://evil.example",
        "null",
        f"http://127.0.0.1:{page.port + 1}",
        f"https://127.0.0.1:{page.port}",
    ):
        refused = page.ask("POST", "/api/uploads", {}, {**own, "Origin": origin})
        assert (refused.status, refused.json["error"]) == (
            403,
            "This was asked for by a page of another site, and is refused.",
        )
    assert page.ask("POST", "/api/uploads", {}, own).status == 403
    # AND nobody is told that other sites may read
    assert not any("access-control" in name for name in page.ask("GET", "/api/node", headers=own).headers)


def test_a_name_that_is_not_the_nodes_is_not_answered(page: Browserless) -> None:
    token = {"Authorization": f"Bearer {page.token}"}
    for host in ("evil.example", f"evil.example:{page.port}", "127.0.0.1.evil.example", ""):
        assert page.ask("GET", "/api/node", headers={**token, "Host": host}).status == 421, host
    for host in ("localhost", f"127.0.0.1:{page.port}", "192.168.1.20", f"[::1]:{page.port}"):
        assert page.ask("GET", "/api/node", headers={**token, "Host": host}).status == 200, host


def test_every_answer_says_what_browsers_may_do_with_it(page: Browserless) -> None:
    for path in ("/", "/api/node", "/api/nothing", "/static/door.css"):
        headers = page.ask("GET", path).headers
        assert "default-src 'none'" in headers["content-security-policy"], path
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "name",
    ["../../escape", "a/../../escape", "/etc/escape", "a//b", "", "a\\..\\b", "a\x00b", "x" * 300, "a/" * 600 + "b"],
)
def test_a_name_that_leads_out_is_refused(page: Browserless, node: NodeProcess, name: str) -> None:
    upload = page.post("/api/uploads", status=201)["upload"]
    before = sorted(path for path in node.data.rglob("*") if "escape" in path.name)
    sent = page.send(upload, name, b"content")
    assert sent.status in (404, 422), sent
    assert sorted(path for path in node.data.rglob("*") if "escape" in path.name) == before


def test_more_than_was_announced_is_refused(page: Browserless) -> None:
    upload = page.post("/api/uploads", status=201)["upload"]
    assert page.send(upload, "a.blend", b"0123456789", length=4).status == 422
    assert page.send(upload, "b.blend", b"x", length=10**15).status == 507
    for offset in ("-1", "x", "", "9" * 30):
        headers = {"Authorization": f"Bearer {page.token}", "Upload-Offset": offset, "Upload-Length": "4"}
        assert page.ask("PATCH", f"/api/uploads/{upload}/files/c", b"x", headers).status == 422
    for unknown in ("0" * 32, "..", "../..", "%2e%2e"):
        assert page.send(unknown, "a.blend", b"x").status == 404


def bomb(size: int) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("big.blend", "w") as entry:
        for _ in range(size >> 20):
            entry.write(bytes(1 << 20))
    return packed.getvalue()


def linked() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        entry = zipfile.ZipInfo("link.blend")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    return packed.getvalue()


def climbing() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../../escape.blend", b"BLENDER")
    return packed.getvalue()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (bomb(200 << 20), "far more than any scene does"),
        (linked(), "has a link in it"),
        (climbing(), "cannot be sent"),
        (b"PK\x03\x04 and no more", "is damaged"),
    ],
    ids=["bomb", "link", "climbing", "damaged"],
)
def test_what_only_calls_itself_a_zip_is_refused(
    page: Browserless, node: NodeProcess, content: bytes, sentence: str
) -> None:
    upload = page.post("/api/uploads", status=201)["upload"]
    assert page.send(upload, "film.zip", content).status == 204
    refused = page.ask("POST", f"/api/uploads/{upload}/complete", {})
    assert (refused.status, sentence in refused.json["error"]) == (422, True), refused.json
    assert not [path for path in node.data.rglob("*") if path.name in ("escape.blend", "big.blend", "link.blend")]


def test_a_file_that_is_no_blend_gets_a_sentence(page: Browserless) -> None:
    for content in (b"BLENDER17-01v0502", b"not a blend at all", b"BLENDER-v999RENDH"):
        upload = page.upload({"shot.blend": content})
        (blend,) = upload["blends"]
        assert blend["scenes"] == []
        assert blend["text"].endswith((".", "?")), blend
        wanted = {"upload": upload["upload"], "blend": "shot.blend", "frames": "1"}
        refused = page.ask("POST", "/api/jobs", wanted)
        assert refused.status == 422, refused
        assert len(refused.json["error"]) > 20
    upload = page.post("/api/uploads", status=201)["upload"]
    page.send(upload, "notes.txt", b"no scene")
    answer = page.ask("POST", f"/api/uploads/{upload}/complete", {})
    assert (answer.status, "no .blend" in answer.json["error"]) == (422, True)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"null", b'{"upload": 1}', b'{"frames": "1-"}', b"[" * 100_000, b" " * (2 << 20)]
)
def test_nonsense_gets_a_sentence(page: Browserless, body: bytes) -> None:
    answer = page.ask("POST", "/api/jobs", body)
    assert answer.status == 422, answer
    assert answer.json["error"]


def test_jobs_of_artists_are_the_owners_business_too(
    page: Browserless, client: ClientProcess, scene: Scene, tmp_path: Path
) -> None:
    # GIVEN a job that came over the protocol
    job = client.render(scene(SAMPLES="4096", SIZE="640x480"), tmp_path, "1")
    client.until_state(job, "rendering")
    # THEN the page shows it, and stops it
    (shown,) = page.get("/api/jobs")["jobs"]
    assert shown["job"] == job
    assert page.post(f"/api/jobs/{job}/cancel")["state"] == "cancelled"
    client.until_state(job, "cancelled")


def test_what_the_description_promises_is_there(page: Browserless) -> None:
    description = page.get("/api/openapi.json")
    assert description["openapi"] == "3.1.0"
    for path, operations in description["paths"].items():
        if "get" in operations and "{" not in path and path != "/api/events":
            answer = page.ask("GET", path)
            assert answer.status == 200, path
            schema = operations["get"]["responses"]["200"]["content"]["application/json"]["schema"]
            name = schema["$ref"].rpartition("/")[2]
            wanted = description["components"]["schemas"][name]["properties"]
            assert set(answer.json) == set(wanted), path


def test_the_command_line_knows_the_link(page: Browserless, node: NodeProcess, tmp_path: Path) -> None:
    # GIVEN the account that runs the node
    said = cli("page", "--print", "--to", node.address, data=tmp_path)
    # THEN it can come back to the page at any time
    assert token_in(said.stdout) == page.token
    # AND a port with no node has a sentence
    said = cli("page", "--print", "--to", "127.0.0.1:1", data=tmp_path)
    assert (said.returncode, "runs no node with a page" in said.stderr) == (1, True)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs a certificate: apt install openssl")
def test_with_a_certificate_the_page_is_encrypted(any_blender: Blender, start_node: StartNode, tmp_path: Path) -> None:
    # GIVEN a node with a certificate of its owner's
    pem = tmp_path / "page.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", tmp_path / "key",
         "-out", tmp_path / "cert"],
        check=True, capture_output=True,
    )  # fmt: skip
    pem.write_text((tmp_path / "key").read_text() + (tmp_path / "cert").read_text())
    node = start_node(any_blender, "--web-certificate", str(pem))
    link = node.until_said(r"Its page: (https://\S+)")[1]
    # WHEN it is opened by who trusts that
    trusting = ssl.create_default_context(cafile=tmp_path / "cert")
    connection = http.client.HTTPSConnection("127.0.0.1", urlsplit(link).port or 0, context=trusting)
    connection.request("GET", f"/?{urlsplit(link).query}")
    came = connection.getresponse()
    # THEN its cookie never travels in the clear
    assert came.status == 303
    assert "Secure" in str(came.getheader("set-cookie"))
    connection.close()
    # AND without encryption there is no page
    unencrypted = http.client.HTTPConnection("127.0.0.1", urlsplit(link).port or 0, timeout=10)
    unencrypted.request("GET", "/")
    with pytest.raises((OSError, http.client.HTTPException)):
        unencrypted.getresponse()
    unencrypted.close()
