"""Anybody's LLaVA opens here and behaves as plain transformers has it; what is none is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import AutoProcessor, GPT2Config, GPT2LMHeadModel, LlavaForConditionalGeneration

from tests.models.pictures import ask, draw_pictures, encoded, logits_of, pixels_of, stacked
from tests.models.published import release
from triptych.core.errors import ModelError, NotFoundError
from triptych.core.records import ImageRef
from triptych.data.batch import collate
from triptych.data.plan.costs import Fixed
from triptych.data.templates.chatml import TEMPLATE as CHATML
from triptych.models.family import open_model


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageRef, ...]:
    return draw_pictures(tmp_path_factory.mktemp("pictures"), 3)


@pytest.mark.parametrize(
    ("layer", "strategy", "positions", "channels"),
    [
        (-2, "default", 4, 32),
        (-2, "full", 5, 32),
        (-1, "default", 4, 32),
        (1, "full", 5, 32),
        ([-2, 1], "default", 4, 64),
    ],
)
def test_a_released_checkpoint_is_read_as_its_configuration_says(
    layer: int | list[int], strategy: str, positions: int, channels: int, pictures: tuple[ImageRef, ...], tmp_path: Path
) -> None:
    released = release(tmp_path, vision_feature_layer=layer, vision_feature_select_strategy=strategy)
    model = open_model(tmp_path / "released")
    assert model.cost == Fixed(positions)
    seen = pixels_of(model, pictures)
    features = model.encode(seen)
    assert {each.values.shape for each in features} == {(positions, channels)}
    pixels_NCHW = stacked(seen)
    with torch.no_grad():
        expected = torch.stack(list(released.get_image_features(pixels_NCHW).pooler_output))
        assert torch.allclose(torch.stack(model.project(features)), expected, atol=1e-6)
        batch = collate([[encoded(model, ask("a", "Is ", *pictures, " one?", reply="no"))]], pad_id=0)
        plain = released(input_ids=batch.ids_BT, pixel_values=pixels_NCHW).logits
        assert torch.allclose(logits_of(model, batch), plain, atol=1e-4)


def test_a_released_checkpoint_saved_here_has_its_processor_still(
    pictures: tuple[ImageRef, ...], tmp_path: Path
) -> None:
    release(tmp_path)
    model = open_model(tmp_path / "released")
    model.save(tmp_path / "again")
    opened = [Image.open(image.source) for image in pictures]
    first, again = (
        AutoProcessor.from_pretrained(tmp_path / name)(
            text="<image>a<image><image>", images=opened, return_tensors="pt"
        )
        for name in ("released", "again")
    )
    assert torch.equal(first["input_ids"], again["input_ids"])
    assert torch.equal(first["pixel_values"], again["pixel_values"])


def test_the_template_is_known_by_the_chat_template_where_nothing_else_says_it(tmp_path: Path) -> None:
    release(tmp_path)
    assert not (tmp_path / "released" / "triptych.json").exists()
    assert open_model(tmp_path / "released").template == CHATML


def test_an_unknown_chat_template_is_asked_for(tmp_path: Path) -> None:
    release(tmp_path, chat_template="{{ 'something else' }}")
    with pytest.raises(ModelError, match="chat template is none that is known") as refusal:
        open_model(tmp_path / "released")
    assert "triptych.json" in str(refusal.value)
    (tmp_path / "released" / "triptych.json").write_text('{"template": "chatml"}')
    assert open_model(tmp_path / "released").template == CHATML


def test_a_family_is_found_by_model_type_and_never_by_the_paths_words(tmp_path: Path) -> None:
    folder = tmp_path / "llava-1.5-7b"
    GPT2LMHeadModel(GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=20)).save_pretrained(folder)
    with pytest.raises(ModelError, match="no family opens model_type 'gpt2'; there are: "):
        open_model(folder)


def test_missing_weights_are_never_made_up(tmp_path: Path) -> None:
    release(tmp_path)
    network = LlavaForConditionalGeneration.from_pretrained(tmp_path / "released")
    state = {name: value for name, value in network.state_dict().items() if "linear_2.weight" not in name}
    network.save_pretrained(tmp_path / "released", state_dict=state)
    with pytest.raises(ModelError, match=r"1 weights are missing, the first is .*linear_2\.weight"):
        open_model(tmp_path / "released")


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        (None, NotFoundError, "no config.json"),
        ("{", ModelError, "config.json cannot be read"),
        ('{"model_type": "martian"}', ModelError, "no family opens model_type 'martian'"),
    ],
)
def test_a_folder_that_is_no_model_is_named(text: str | None, kind: type[Exception], said: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(kind, match=said) as refusal:
        open_model(tmp_path)
    assert str(tmp_path) in str(refusal.value)
    assert "\n" not in str(refusal.value)
