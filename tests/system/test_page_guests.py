# SPDX-License-Identifier: GPL-3.0-or-later
"""Links to the page for others than the node's owner: they have their own jobs and nothing else."""

from tests.system.harness import NodeProcess, Scene
from tests.system.page import Browserless, Follower, guest_of


def test_a_guest_has_its_own_jobs_and_nothing_else(node: NodeProcess, scene: Scene) -> None:
    # GIVEN a node whose owner has a job, and two guests
    owner = Browserless(node)
    theirs = owner.submit(owner.upload({"shot.blend": scene()}))["job"]
    anna, anna_id = guest_of(owner, "Anna")
    bert, _ = guest_of(owner, "Bert")
    # THEN a guest is told who it is, and of nobody's jobs
    about = anna.get("/api/node")
    assert (about["me"]["name"], about["me"]["manages"]) == ("Anna", False)
    assert anna.get("/api/jobs")["jobs"] == []
    for path in (f"/api/jobs/{theirs}", f"/api/jobs/{theirs}/frames", f"/api/jobs/{theirs}/log"):
        assert anna.ask("GET", path).status == 404, path
    assert anna.ask("POST", f"/api/jobs/{theirs}/cancel", {}).status == 404
    # AND may not do what the owner may
    assert anna.ask("GET", f"/api/clients/{anna_id}/link").status == 403
    for method, path in (("GET", "/api/clients"), ("POST", "/api/clients"), ("GET", "/api/workers")):
        assert anna.ask(method, path, {} if method == "POST" else None).status == 403, path
    # WHEN it renders something, by the link in a browser
    came = anna.ask("GET", f"/?token={anna.token}", headers={})
    cookie = came.headers["set-cookie"].split(";")[0]
    assert anna.token.partition(".")[2] not in cookie
    follower = Follower(anna)
    own = anna.submit(anna.upload({"shot.blend": scene()}))["job"]
    assert anna.until_over(own)["state"] == "done"
    # THEN it has that, the owner sees it too, and the other guest does not
    listed = anna.ask("GET", "/api/jobs", headers={"Cookie": cookie}).json["jobs"]
    assert [(each["job"], each["mine"]) for each in listed] == [(own, True)]
    assert {each["job"] for each in owner.get("/api/jobs")["jobs"]} == {theirs, own}
    assert bert.ask("GET", f"/api/jobs/{own}/frames/1/picture").status == 404
    assert {data["job"] for name, data in follower.seen if name == "job"} == {own}
    # AND WHEN it is let in no more THEN neither link nor cookie nor what is open of it is any good
    assert owner.ask("DELETE", f"/api/clients/{anna_id}").status == 200
    assert anna.ask("GET", "/api/jobs").status == 401
    assert anna.ask("GET", "/api/jobs", headers={"Cookie": cookie}).status == 401
    follower.until_ended()
    assert bert.get("/api/jobs")["jobs"] == []


def test_a_link_is_for_who_it_was_made_for(node: NodeProcess) -> None:
    owner = Browserless(node)
    anna, anna_id = guest_of(owner, "Anna")
    bert, bert_id = guest_of(owner, "Bert")
    # GIVEN tokens that are put together of others
    seal = anna.token.partition(".")[2]
    for token in (f"{bert_id}.{seal}", f"owner.{seal}", seal, f"{anna_id}.", f"{anna_id}.{owner.token}", anna_id):
        # THEN none of them opens anything
        assert anna.ask("GET", "/api/jobs", headers={"Authorization": f"Bearer {token}"}).status == 401, token
        name = f"relay-render-{owner.port}"
        assert anna.ask("GET", "/api/jobs", headers={"Cookie": f"{name}={token}"}).status == 401, token
    assert anna.ask("GET", "/api/jobs", headers={"Cookie": f"relay-render-{owner.port}={bert.token}"}).status == 401
    # AND the owner can have a link again, which is the same
    assert owner.get(f"/api/clients/{anna_id}/link") == {"client": anna_id, "name": "Anna", "token": anna.token}
    # AND a name is a part of a line
    for name in ("", " ", "x" * 61, "two\nlines"):
        assert owner.ask("POST", "/api/clients", {"name": name}).status == 422, name
    # AND after the node's next start it is as good as before
    node.close()
    node.start()
    anna.port = owner.port = Browserless(node).port
    assert anna.get("/api/node")["me"]["name"] == "Anna"
