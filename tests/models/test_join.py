"""A model of anybody's parts behaves as plain transformers has it; parts that do not fit are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    CLIPModel,
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PhiConfig,
    PhiForCausalLM,
    PreTrainedModel,
)

from tests.models.pictures import ask, draw_pictures, encoded, logits_of, pixels_of, stacked
from tests.models.published import BODY, LANGUAGES, TOWERS, save_language, save_tower
from triptych.core.errors import ModelError, NotFoundError
from triptych.core.records import ImageRef
from triptych.data.batch import PADDING, collate
from triptych.data.plan.costs import Fixed
from triptych.models.family import Model, PartsPlan, Woven, assemble, open_model

PLAN = PartsPlan(vision="", language="", projector="mlp", image_tokens=None, template="chatml", seed=0)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageRef, ...]:
    return draw_pictures(tmp_path_factory.mktemp("pictures"), 3)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_language(tmp_path_factory.mktemp("llama"), LANGUAGES["llama-tied"])


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tower(tmp_path_factory.mktemp("clip"), "clip")


@pytest.mark.parametrize("tower", sorted(TOWERS))
def test_any_tower_becomes_a_part(tower: str, llama: Path, pictures: tuple[ImageRef, ...], tmp_path: Path) -> None:
    vision = save_tower(tmp_path / "tower", tower)
    model = assemble("llava", replace(PLAN, vision=str(vision), language=str(llama)))
    (seen,) = model.encode(pixels_of(model, pictures[:1]))
    assert seen.values.shape == TOWERS[tower][1]
    _same_in_plain_transformers(model, pictures, tmp_path)


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_any_language_model_becomes_a_part(
    language: str, clip: Path, pictures: tuple[ImageRef, ...], tmp_path: Path
) -> None:
    folder = save_language(tmp_path / "language", LANGUAGES[language])
    model = assemble("llava", replace(PLAN, vision=str(clip), language=str(folder)))
    _same_in_plain_transformers(model, pictures, tmp_path)


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_packed_conversations_have_the_logits_they_have_alone(
    language: str, clip: Path, pictures: tuple[ImageRef, ...], tmp_path: Path
) -> None:
    model = _with_language(clip, save_language(tmp_path / "language", LANGUAGES[language]))
    pack = [encoded(model, ask(str(at), "Is ", image, "?", reply="no")) for at, image in enumerate(pictures)]
    with torch.no_grad():
        packed_TV = logits_of(model, collate([pack], pad_id=0))[0]
        alone = [logits_of(model, collate([[one]], pad_id=0))[0] for one in pack]
    assert torch.allclose(packed_TV, torch.cat(alone), atol=1e-4)


@pytest.mark.parametrize("language", ["llama-tied", "llama-untied"])
def test_tied_weights_stay_tied_and_others_stay_separate(language: str, clip: Path, tmp_path: Path) -> None:
    folder = save_language(tmp_path / "language", LANGUAGES[language])
    assembled = assemble("llava", replace(PLAN, vision=str(clip), language=str(folder)))
    assembled.save(tmp_path / "saved")
    for model in (assembled, open_model(tmp_path / "saved")):
        network = model.network
        tied = network.get_input_embeddings().weight is network.get_output_embeddings().weight
        assert tied == (language == "llama-tied")


def test_the_parts_keep_their_weights(clip: Path, llama: Path) -> None:
    model = assemble("llava", replace(PLAN, vision=str(clip), language=str(llama)))
    tower = CLIPModel.from_pretrained(clip).vision_model.state_dict()
    assert all(torch.equal(weight, tower[name]) for name, weight in model.parts()["vision"].state_dict().items())
    language = LlamaForCausalLM.from_pretrained(llama).state_dict()
    own = model.parts()["language"].state_dict()
    assert all(torch.equal(own[name][: len(weight)], weight) for name, weight in language.items())
    assert own["model.embed_tokens.weight"].shape[0] == len(model.tokenizer)


def test_the_new_image_token_is_never_the_likeliest(clip: Path, llama: Path) -> None:
    model = assemble("llava", replace(PLAN, vision=str(clip), language=str(llama)))
    logits_NV = model.head(10 * torch.randn(500, 48))
    assert (logits_NV.argmax(dim=-1) != model.image_token_id).all()


def test_an_image_token_that_is_there_already_is_kept(clip: Path, tmp_path: Path) -> None:
    folder = save_language(tmp_path / "language", LANGUAGES["llama-tied"], image_token=True)
    model = assemble("llava", replace(PLAN, vision=str(clip), language=str(folder)))
    assert model.image_token_id == len(model.tokenizer) - 1
    assert model.network.get_input_embeddings().weight.shape[0] == len(model.tokenizer)


def test_whole_pictures_are_seen_where_the_towers_own_preparation_would_crop(clip: Path, llama: Path) -> None:
    model = assemble("llava", replace(PLAN, vision=str(clip), language=str(llama)))
    wide = Image.new("RGB", (120, 40))
    before = model.pixels(wide).values
    wide.paste((255, 255, 255), (0, 0, 20, 40))
    after = model.pixels(wide).values
    assert before.shape == after.shape == (3, 32, 32)
    assert not torch.equal(before[:, :, :4], after[:, :, :4])
    assert torch.equal(before[:, :, 8:], after[:, :, 8:])
    assert after[0, 0, 0].item() == pytest.approx((1 - 0.48145466) / 0.26862954, abs=1e-4)


def test_a_folder_says_where_its_parts_are_from(clip: Path, llama: Path, tmp_path: Path) -> None:
    card = clip / "README.md"
    card.write_text("---\nlicense: mit\n---\n# A tower\n", encoding="utf-8")
    model = assemble("llava", replace(PLAN, vision=str(clip), language=str(llama)))
    card.unlink()
    model.save(tmp_path / "saved")
    note = json.loads((tmp_path / "saved" / "triptych.json").read_text(encoding="utf-8"))
    assert note["template"] == "chatml"
    assert note["image_tokens"] == 4
    vision, language = note["parts"]["vision"], note["parts"]["language"]
    assert (vision["name"], vision["licence"], len(vision["sha256"])) == (str(clip), "mit", 64)
    assert (language["name"], language["licence"]) == (str(llama), "unknown")
    open_model(tmp_path / "saved").save(tmp_path / "again")
    assert json.loads((tmp_path / "again" / "triptych.json").read_text(encoding="utf-8")) == note


def test_equal_seeds_give_equal_projectors(clip: Path, llama: Path) -> None:
    plan = replace(PLAN, vision=str(clip), language=str(llama))
    one, same, other = (assemble("llava", replace(plan, seed=seed)).parts()["projector"] for seed in (0, 0, 1))
    assert torch.equal(one.linear_1.weight, same.linear_1.weight)
    assert not torch.equal(one.linear_1.weight, other.linear_1.weight)


def test_a_language_model_that_caps_its_logits_is_refused(clip: Path, tmp_path: Path) -> None:
    def gemma(size: int) -> PreTrainedModel:
        config = Gemma2Config(**BODY, head_dim=12, num_key_value_heads=2, vocab_size=size, final_logit_softcapping=0.01)
        return Gemma2ForCausalLM(config)

    with pytest.raises(ModelError, match="'gemma2' does more than its body and head"):
        _with_language(clip, save_language(tmp_path / "language", gemma))


def test_a_language_model_whose_head_has_a_bias_is_refused(clip: Path, tmp_path: Path) -> None:
    folder = save_language(tmp_path / "language", lambda size: PhiForCausalLM(PhiConfig(**BODY, vocab_size=size)))
    with pytest.raises(ModelError, match="'phi' has no plain linear head"):
        _with_language(clip, folder)


def test_a_language_model_that_cannot_take_embeddings_is_refused(clip: Path, tmp_path: Path) -> None:
    def mamba(size: int) -> PreTrainedModel:
        return MambaForCausalLM(MambaConfig(hidden_size=48, num_hidden_layers=2, state_size=8, vocab_size=size))

    with pytest.raises(ModelError, match="'mamba' cannot be a part here"):
        _with_language(clip, save_language(tmp_path / "language", mamba))


def mistral(size: int) -> PreTrainedModel:
    return MistralForCausalLM(MistralConfig(**BODY, num_key_value_heads=2, vocab_size=size, sliding_window=16))


def gemma_3(size: int) -> PreTrainedModel:
    """One layer with a window, and one without."""
    kinds = ["sliding_attention", "full_attention"]
    config = Gemma3TextConfig(
        **BODY, head_dim=12, num_key_value_heads=2, vocab_size=size, sliding_window=16, layer_types=kinds
    )
    return Gemma3ForCausalLM(config)


@pytest.mark.parametrize("attention", ["sdpa", "segments", "eager"])
@pytest.mark.parametrize("language", [mistral, gemma_3])
def test_a_window_is_looked_through_within_each_conversation(
    language: Callable[[int], PreTrainedModel],
    attention: str,
    clip: Path,
    pictures: tuple[ImageRef, ...],
    tmp_path: Path,
) -> None:
    model = _with_language(clip, save_language(tmp_path / "language", language))
    if attention == "eager":
        model.network.set_attn_implementation("eager")
    model.hidden(Woven(torch.ones(1, 1, 48), torch.zeros(1, 1, 1).long(), torch.zeros(1, 1).long()))
    assert model._packs._agrees == (attention != "eager")
    model._packs._agrees = attention == "segments"  # else under masks, as on a GPU
    examples = [ask(str(at), "Is it ", image, " or not?", reply="no") for at, image in enumerate(pictures)]
    packed_TV = logits_of(model, collate([[encoded(model, example) for example in examples]], pad_id=0))[0]
    batches = [collate([[encoded(model, example)]], pad_id=0) for example in examples]
    assert all(batch.tokens > 16 for batch in batches)
    with torch.no_grad():
        alone = [model.network(**model.inputs(batch, pixels_of(model, batch.images))).logits[0] for batch in batches]
    assert torch.allclose(packed_TV, torch.cat(alone), atol=1e-4)


def test_eager_attention_honours_the_mask_too(clip: Path, llama: Path, pictures: tuple[ImageRef, ...]) -> None:
    model = _with_language(clip, llama)
    pack = [
        encoded(model, ask(name, "Is ", image, "?", reply="no")) for name, image in zip("abc", pictures, strict=True)
    ]
    batch = collate([pack, pack[:1]], pad_id=0)
    real_BT = batch.segments_BT != PADDING
    expected = logits_of(model, batch)[real_BT]
    model.network.set_attn_implementation("eager")
    assert torch.allclose(logits_of(model, batch)[real_BT], expected, atol=1e-4)


def test_an_announced_number_of_image_tokens_is_checked(clip: Path, llama: Path) -> None:
    plan = replace(PLAN, vision=str(clip), language=str(llama))
    assert assemble("llava", replace(plan, image_tokens=4)).cost == Fixed(4)
    with pytest.raises(ModelError, match="gives 4 tokens an image, not 9"):
        assemble("llava", replace(plan, image_tokens=9))


def test_a_template_whose_stop_the_tokenizer_lacks_is_refused(clip: Path, tmp_path: Path) -> None:
    folder = save_language(tmp_path / "language", LANGUAGES["llama-tied"])
    text = (folder / "tokenizer.json").read_text(encoding="utf-8").replace("<|im_end|>", "<|done|>")
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    config = (folder / "tokenizer_config.json").read_text(encoding="utf-8").replace("<|im_end|>", "<|done|>")
    (folder / "tokenizer_config.json").write_text(config, encoding="utf-8")
    with pytest.raises(ModelError, match="which is 10 tokens of this tokenizer instead of one"):
        _with_language(clip, folder)


def test_a_part_that_is_not_there_is_named(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nowhere: no such folder"):
        _with_language(clip, tmp_path / "nowhere")
    with pytest.raises(NotFoundError, match="starter:nothing"):
        assemble("llava", replace(PLAN, vision=str(clip), language="starter:nothing"))


def test_a_tower_without_a_picture_preparation_is_refused(llama: Path, tmp_path: Path) -> None:
    vision = save_tower(tmp_path / "tower", "siglip")
    (vision / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match="an image processor"):
        assemble("llava", replace(PLAN, vision=str(vision), language=str(llama)))


def _with_language(clip: Path, folder: Path) -> Model:
    return assemble("llava", replace(PLAN, vision=str(clip), language=str(folder)))


def _same_in_plain_transformers(model: Model, pictures: tuple[ImageRef, ...], tmp_path: Path) -> None:
    """Check our forward pass, the saved network's and the saved processor's against each other."""
    model.save(tmp_path / "saved")
    plain = AutoModelForImageTextToText.from_pretrained(tmp_path / "saved").eval()
    batch = collate([[encoded(model, ask("a", "Is ", *pictures, " one?", reply="no"))]], pad_id=0)
    pixels_NCHW = stacked(pixels_of(model, pictures))
    with torch.no_grad():
        expected = plain(input_ids=batch.ids_BT, pixel_values=pixels_NCHW).logits
        assert torch.equal(model.network(input_ids=batch.ids_BT, pixel_values=pixels_NCHW).logits, expected)
        assert torch.allclose(logits_of(model, batch), expected, atol=1e-4)
    processor = AutoProcessor.from_pretrained(tmp_path / "saved")
    made = processor(text="<image>", images=[Image.open(pictures[0].source)], return_tensors="pt")
    assert made["input_ids"].tolist() == [[model.image_token_id] * model.cost.tokens((1, 1))]
