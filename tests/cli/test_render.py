"""``triptych data render``: a line of tokens for each conversation, and no picture opened."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Triptych
from tests.pictures import real_data
from tests.toys import toy_tokenizer

Render = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def render(triptych_here: Triptych, tmp_path: Path) -> Render:
    """Run ``triptych data render ARGUMENTS...`` in the folder of the rows."""
    return lambda *arguments: triptych_here(tmp_path, "data", "render", *arguments)


@pytest.fixture
def rows(tmp_path: Path) -> str:
    """Three rows of the format mantis, one with too few pictures; the others' files are empty."""

    def row(identity: str, marks: str, images: int, reply: str) -> dict[str, object]:
        said = [{"role": "user", "content": f"{marks}How many cats?"}, {"role": "assistant", "content": reply}]
        return {"id": identity, "images": [f"{n}.png" for n in range(images)], "conversation": said}

    made = [
        row("two", "<image><image>", 2, "Three."),
        row("torn", "<image><image>", 1, "No."),
        row("none", "", 0, "Two."),
    ]
    (tmp_path / "rows.json").write_text(json.dumps(made))
    for number in range(2):
        (tmp_path / f"{number}.png").touch()
    toy_tokenizer().save_pretrained(tmp_path / "words")
    return "mantis:rows.json"


def test_a_line_has_ids_spans_and_images(render: Render, rows: str) -> None:
    rendered = render(rows, "--template", "chatml", "--tokenizer", "words", "--json")
    assert rendered.returncode == 0, rendered.stderr
    first, last = map(json.loads, rendered.stdout.splitlines())
    tokenizer = toy_tokenizer()
    mark, stop = (tokenizer.get_added_vocab()[token] for token in ("<image>", "<|im_end|>"))
    assert list(first) == ["id", "input_ids", "trained", "n_images"]
    assert (first["id"], first["n_images"], first["input_ids"].count(mark)) == ("two", 2, 2)
    assert (last["id"], last["n_images"], last["input_ids"].count(mark)) == ("none", 0, 0)
    ((start, end),) = first["trained"]
    assert tokenizer.decode(first["input_ids"][start : end - 1]) == "Three."
    assert first["input_ids"][end - 1] == stop


def test_a_row_that_cannot_be_used_is_told_and_counted_beside_the_output(render: Render, rows: str) -> None:
    rendered = render(rows, "--template", "chatml", "--tokenizer", "words", "--json")
    told = rendered.stderr.splitlines()
    assert any("row 1 (id 'torn')" in line and line.startswith("refused: ") for line in told)
    assert told[-1] == f"{rows}: 1 row refused"
    assert len(rendered.stdout.splitlines()) == 2


def test_people_see_what_is_learnt_and_where_images_stand(render: Render, rows: str) -> None:
    shown = render(rows, "--template", "mantis_mllava_v1_clean", "--tokenizer", "words", "--limit", "1")
    assert shown.returncode == 2  # the toy has no </s>
    assert "ends a reply with '</s>'" in shown.stderr
    shown = render(rows, "--template", "chatml", "--tokenizer", "words", "--limit", "1")
    assert "[image 1: 0.png ?, 1 token][image 2: 1.png ?, 1 token]How many cats?" in shown.stdout
    assert "none" not in shown.stdout


@pytest.mark.parametrize(
    ("template", "tokenizer", "told"),
    [
        ("chatlm", "words", "Did you mean 'chatml'?"),
        ("chatml", "gone", "gone: no such folder"),
        ("chatml", ".", "holds no"),
    ],
)
def test_what_is_not_there_is_one_line(render: Render, rows: str, template: str, tokenizer: str, told: str) -> None:
    failed = render(rows, "--template", template, "--tokenizer", tokenizer)
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr.startswith("error: ")
    assert told in failed.stderr
    assert len(failed.stderr.splitlines()) == 1


def test_a_source_of_which_nothing_can_be_rendered_is_an_error(render: Render, rows: str, tmp_path: Path) -> None:
    torn = json.loads((tmp_path / "rows.json").read_text())[1:2]
    (tmp_path / "rows.json").write_text(json.dumps(torn))
    failed = render(rows, "--template", "chatml", "--tokenizer", "words", "--json")
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr.splitlines()[-1].startswith("error: ")


def test_a_tokenizer_without_an_image_token_gets_one_as_its_last(render: Render, rows: str, tmp_path: Path) -> None:
    folder = tmp_path / "words"
    known = json.loads((folder / "tokenizer.json").read_text())
    known["added_tokens"] = [token for token in known["added_tokens"] if token["content"] != "<image>"]
    known["model"]["vocab"]["<picture>"] = known["model"]["vocab"].pop("<image>")
    (folder / "tokenizer.json").write_text(json.dumps(known))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    kept = {key: value for key, value in settings.items() if "special_tokens" not in key and "decoder" not in key}
    (folder / "tokenizer_config.json").write_text(json.dumps(kept))
    (folder / "special_tokens_map.json").unlink(missing_ok=True)
    rendered = render(rows, "--template", "chatml", "--tokenizer", "words", "--json", "--limit", "1")
    assert rendered.returncode == 0, rendered.stderr
    assert json.loads(rendered.stdout)["input_ids"].count(max(known["model"]["vocab"].values()) + 1) == 2


def test_mantis_is_rendered_as_its_authors_did(render: Render) -> None:
    golden, chat = real_data("golden") / "mantis", real_data("mantis_examples") / "chat" / "train.json"
    rendered = render(
        *(f"mantis:{chat}#limit=50", "--template", "mantis_llama_3"),
        *("--tokenizer", str(golden / "toy_llama3_tokenizer"), "--json"),
    )
    expected = [json.loads(line) for line in (golden / "chat_llama_3.jsonl").read_text().splitlines()]
    keys = ("id", "input_ids", "trained", "n_images")
    assert [json.loads(line) for line in rendered.stdout.splitlines()] == [
        {key: row[key] for key in keys} for row in expected
    ]
