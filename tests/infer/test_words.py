"""A language model alone as a teacher: its own template, replies that no batch changes, draws that repeat."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from tests.released.idefics2s import write_tokenizer
from tests.toys import toy_tokenizer
from triptych.core.errors import ModelError
from triptych.core.records import Answer, Example, ImageRef, Text, Turn
from triptych.infer.responder import Failed, Query
from triptych.infer.words import WordsResponder

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("words")
    tokenizer = toy_tokenizer()
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(path)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=200,
        eos_token_id=tokenizer.eos_token_id,
        initializer_range=0.6,
    )
    LlamaForCausalLM(config).save_pretrained(path)
    return path


def ask(name: str, words: str) -> Example:
    system = Turn("system", (Text("Be brief."),))
    shown = Example("shown", (Turn("user", (Text("One?"),)), Turn("assistant", (Text("Two."),))))
    return Example(name, (system, Turn("user", (Text(words),))), demonstrations=(shown,))


def test_a_reply_is_what_generate_gives_and_does_not_depend_on_its_batch(folder: Path) -> None:
    teacher = WordsResponder(folder, name="toy")
    questions = [ask(str(number), "How many cats? " * (number + 1)) for number in range(5)]
    together = {each.id: each for each in teacher.answer(questions, max_tokens=9)}
    alone = {each.id: each for question in questions for each in teacher.answer([question], max_tokens=9)}
    assert together == alone
    assert len({answer.text for answer in together.values() if isinstance(answer, Answer)}) > 1
    said = "".join(f"<|im_start|>{role}\n{words}<|im_end|>\n" for role, words in _turns("How many cats? "))
    prompt = teacher.tokenizer(f"{said}<|im_start|>assistant\n", return_tensors="pt")
    plain = teacher.network.generate(**prompt, max_new_tokens=9, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    assert alone["0"] == Answer(
        "0",
        teacher.tokenizer.decode(plain, skip_special_tokens=True).strip(),
        tokens_in=prompt["input_ids"].shape[1],
        tokens_out=len([token for token in plain.tolist() if token != teacher.tokenizer.eos_token_id]),
    )


def test_a_drawn_reply_follows_from_seed_sample_and_question_alone(folder: Path) -> None:
    def texts(seed: int, *names: str, sample: int = 0) -> list[str]:
        teacher = WordsResponder(folder, name="toy", temperature=1.0, top_p=0.95, seed=seed)
        told = teacher.answer_each([Query(ask(name, f"Which {name}?"), 12, sample=sample) for name in names])
        said = {each.said.id: each.said for each in told}
        return [answer.text for name in names if isinstance(answer := said[name], Answer)]

    both = texts(1, "a", "bcd")
    assert both == texts(1, "a", "bcd") == [*texts(1, "a"), *texts(1, "bcd")]
    assert len({texts(seed, "a")[0] for seed in range(6)}) > 3
    assert texts(0, "a", sample=3) == texts(3, "a")


def test_draws_come_as_often_as_the_model_says(folder: Path) -> None:
    """One token, drawn 400 times: its frequencies are the probabilities, to a sampling error."""
    teacher = WordsResponder(folder, name="toy", temperature=1.0, batch_tokens=10**6)
    question = ask("q", "Which?")
    replies = [told.said for told in teacher.answer_each([Query(question, 1, sample=k) for k in range(400)])]
    said = "".join(f"<|im_start|>{role}\n{words}<|im_end|>\n" for role, words in _turns("Which?"))
    ids = teacher.tokenizer(f"{said}<|im_start|>assistant\n", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        likely = torch.softmax(teacher.network(ids).logits[0, -1], dim=-1)
    top = int(likely.argmax())
    word = teacher.tokenizer.decode([top], skip_special_tokens=True).strip()
    same = [token for token in range(len(likely)) if teacher.tokenizer.decode([token]).strip() == word]
    expected = float(likely[same].sum())
    share = sum(isinstance(reply, Answer) and reply.text == word for reply in replies) / 400
    assert abs(share - expected) < 4 * (expected * (1 - expected) / 400) ** 0.5 + 0.01


def test_a_question_with_an_image_or_too_many_words_fails_alone(folder: Path) -> None:
    teacher = WordsResponder(folder, name="toy")
    shown = Example("shown", (Turn("user", (ImageRef("a.png"), Text("What?"))),))
    found = {each.id: each for each in teacher.answer([shown, ask("long", "cats " * 300), ask("fine", "Hm?")])}
    assert isinstance(lost := found["shown"], Failed)
    assert "sees no images" in lost.reason
    assert isinstance(lost := found["long"], Failed)
    assert "more than the 200 of toy" in lost.reason
    assert isinstance(found["fine"], Answer)


def test_the_fingerprint_follows_weights_and_draws(folder: Path) -> None:
    plain = WordsResponder(folder, name="toy").fingerprint
    assert plain == WordsResponder(folder, name="other", seed=4).fingerprint
    assert plain != WordsResponder(folder, name="toy", temperature=0.5).fingerprint
    changed = WordsResponder(folder, name="toy")
    changed.network.lm_head.weight.data[0, 0] += 1
    assert changed.fingerprint != plain


def test_a_model_without_a_chat_template_is_refused(folder: Path, tmp_path: Path) -> None:
    toy_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="no chat template"):
        WordsResponder(tmp_path, name="toy")


def _no_pieces(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.model").write_bytes(b"torn")


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda folder: (folder / "tokenizer.json").write_text("{torn"), "tokenizer.json breaks off or is no JSON"),
        (lambda folder: (folder / "tokenizer.json").write_text("{}"), "tokenizer"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "its tokenizer is missing"),
        (_no_pieces, "tokenizer"),
    ],
    ids=["torn", "empty", "missing", "torn pieces"],
)
def test_a_tokenizer_that_cannot_be_opened_is_told(
    harm: Callable[[Path], object], told: str, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    harm(tmp_path)
    with pytest.raises(ModelError, match=told) as refused:
        WordsResponder(tmp_path, name="toy")
    assert str(tmp_path) in str(refused.value)
    assert "\n" not in str(refused.value)


def _turns(words: str) -> list[tuple[str, str]]:
    return [("system", "Be brief."), ("user", "One?"), ("assistant", "Two."), ("user", words)]


def test_its_prompts_are_cut_as_its_tokenizers_file_says(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    write_tokenizer(tmp_path, spaces="prepend")
    (tmp_path / "chat_template.jinja").write_text(TEMPLATE)
    tokenizer = WordsResponder(tmp_path, name="toy").tokenizer
    text = "User: What <image> like <image> \nis  it?"
    wanted = Tokenizer.from_file(str(tmp_path / "tokenizer.json")).encode(text, add_special_tokens=False).ids
    assert tokenizer(text, add_special_tokens=False)["input_ids"] == wanted
    assert tokenizer.padding_side == "left"
