"""The page for a cold start: it shows what was proposed, takes what a person says, and serves nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.generate.driving import asked
from tests.pictures import draw
from triptych.core.errors import ConfigError, NotFoundError
from triptych.core.records import Example
from triptych.generate.few_shot import read_proposals
from triptych.generate.pipeline import generate
from triptych.generate.prompts import load
from triptych.generate.recipe import load_recipe
from triptych.generate.review import FILE, open_review, review_app

JSON = {"content-type": "application/json"}


def propose(question: Example) -> str:
    """Propose one pair, as a teacher of a cold start does."""
    assert "The task:" in asked(question)
    return '{"pairs": [{"question": "What <b>left</b>?", "answer": "The man."}]}'


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return the folder of a run that has proposed two examples."""
    sd = [{"img_id": name, "sentences": [f"the man near {name} is gone"]} for name in ("1", "2")]
    (tmp_path / "sd.json").write_text(json.dumps(sd))
    for name in ("1", "1_2", "2"):
        draw(tmp_path / f"{name}.png", size=(900, 300))
    recipe = tmp_path / "cold.yaml"
    recipe.write_text(
        f"name: cold\nteachers: {{writer: {{model: 'canned:{__name__}.propose'}}}}\nstages:\n"
        f"  - {{kind: annotate, source: 'spot_the_difference:{tmp_path}/sd.json'}}\n"
        "  - {kind: cold_start, prompt: sd}\n"
    )
    generate(load_recipe(recipe), folder=tmp_path / "runs" / "cold")
    return tmp_path / "runs" / "cold"


def client(path: Path) -> TestClient:
    return TestClient(review_app(path), base_url="http://127.0.0.1")


def test_what_a_run_proposed_is_reviewed_and_then_shown_to_teachers(run: Path) -> None:
    path = open_review("cold", runs=run.parent)
    assert path == run / FILE
    page = client(path)
    told = page.get("/proposals").json()
    assert [each["state"] for each in told["proposals"]] == ["open", "open"]
    assert "the man near 1 is gone" in told["proposals"][0]["user"]
    first, second = ({key: each[key] for key in ("id", "user", "reply", "state")} for each in told["proposals"])
    own = {"id": "own-1", "user": "Seen.", "reply": "Said.", "state": "accepted"}
    said = [{**first, "state": "accepted", "reply": "Better."}, {**second, "state": "rejected"}, own]
    saved = page.put("/proposals", json={"version": told["version"], "proposals": said})
    assert saved.status_code == 200
    assert [shot[1] for shot in load(f"sd#examples={path}").shots] == ["Better.", "Said."]
    assert [len(each.pictures) for each in read_proposals(path).proposals] == [2, 2, 0]
    # Opened again, nothing that a person said is lost, and nothing is proposed twice.
    assert read_proposals(open_review(str(run), runs=run.parent)) == read_proposals(path)


def test_a_recipe_a_folder_a_name_and_the_file_itself_lead_to_the_same_page(run: Path) -> None:
    named = [str(run), "cold", str(run.parents[1] / "cold.yaml"), str(run / FILE)]
    assert {open_review(each, runs=run.parent) for each in named} == {run / FILE}
    with pytest.raises(NotFoundError, match="no such run"):
        open_review("warm", runs=run.parent)
    (run / "other.yaml").write_text("a: 1\n")
    with pytest.raises(ConfigError, match="prompt"):
        open_review(str(run / "other.yaml"), runs=run.parent)


def test_pictures_are_served_small_by_number_and_nothing_else_is(run: Path) -> None:
    page = client(open_review("cold", runs=run.parent))
    picture = page.get("/pictures/0/1")
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/jpeg")
    for wrong in ("/pictures/0/2", "/pictures/9/0", "/pictures/-1/0", "/pictures/0/..%2f..", "/docs", "/openapi.json"):
        assert page.get(wrong).status_code in (404, 422), wrong
    assert page.get("/pictures/1/1").status_code == 404  # its file is gone


def test_the_page_asks_nothing_of_others_and_holds_no_data_as_markup(run: Path) -> None:
    answer = client(open_review("cold", runs=run.parent)).get("/")
    assert "script-src 'sha256-" in answer.headers["content-security-policy"]
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", answer.text)
    assert "innerHTML" not in answer.text
    assert "insertAdjacentHTML" not in answer.text
    assert "<b>left</b>" not in answer.text


def test_foreign_hosts_foreign_forms_and_stale_pages_are_turned_away(run: Path) -> None:
    path = open_review("cold", runs=run.parent)
    before = path.read_bytes()
    page = client(path)
    version = page.get("/proposals").json()["version"]
    assert TestClient(review_app(path), base_url="http://evil.example").get("/proposals").status_code == 400
    body = json.dumps({"version": version, "proposals": []})
    assert page.put("/proposals", content=body, headers={"content-type": "text/plain"}).status_code == 415
    assert page.put("/proposals", content='{"version": "x", "proposals": []}', headers=JSON).status_code == 409
    for wrong in ("{", "{}", '{"version": "x", "proposals": [{"id": 1}]}'):
        assert page.put("/proposals", content=wrong, headers=JSON).status_code == 422
    twice = [{"id": "a", "user": "", "reply": "", "state": "open"}] * 2
    assert page.put("/proposals", json={"version": version, "proposals": twice}).status_code == 422
    assert path.read_bytes() == before


def test_a_reply_is_looked_at_while_it_is_written(run: Path) -> None:
    page = client(open_review("cold", runs=run.parent))
    assert page.post("/check", json={"reply": "Q: a?\nA: b.\nQ: c?"}).json() == {"pairs": 1, "torn": 1}


def test_examples_of_two_prompts_are_not_mixed(run: Path) -> None:
    open_review(str(run), runs=run.parent)
    recipe = run.parents[1] / "cold.yaml"
    generate(load_recipe(recipe, ["stages.1.prompt=cgd"]), folder=run)
    with pytest.raises(ConfigError, match="name=cold_start_cgd"):
        open_review(str(run), runs=run.parent)
    assert read_proposals(run / FILE).prompt == "sd"


def test_a_file_that_is_gone_or_broken_is_told_on_the_page(run: Path) -> None:
    path = open_review(str(run), runs=run.parent)
    page = client(path)
    path.write_text("proposals: [")
    assert (page.get("/proposals").status_code, FILE in page.get("/proposals").json()["detail"]) == (409, True)
    path.unlink()
    told = page.put("/proposals", headers=JSON, content='{"version": "x", "proposals": []}')
    assert (told.status_code, "no such file" in told.json()["detail"]) == (409, True)
