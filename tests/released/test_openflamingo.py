"""OpenFlamingo beside its released code (``openflamingo.json``, by ``make_openflamingo.py``).

Its gates, its media mask, its reply with words and media cached, and the loss of its training on captions and pages.
"""

from __future__ import annotations

from itertools import chain

import pytest
import torch

from tests.released.flamingo_folders import CLOSE, Said, build, opened, pixels, same_logits
from tests.released.making import made_of
from triptych.models.families.flamingo import FlamingoModel

SAID = made_of("openflamingo")
NETWORKS: dict[str, Said] = SAID["networks"]
VISION = {
    "model_type": "clip_vision_model",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": SAID["side"],
    "patch_size": 14,
    "hidden_act": "quick_gelu",
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, FlamingoModel]:
    """Sizes of the resampler and of cross-attention are not said: those of the published models are meant."""
    made = {}
    for kind, said in NETWORKS.items():
        config = {"model_type": "flamingo", "vision_config": VISION, "text_config": said["text"]}
        folder = build(
            tmp_path_factory.mktemp("flamingos") / kind,
            SAID,
            config=config | {"cross_attn_every_n_layers": said["every"]},
            shapes=said["shapes"],
            tokens=said["tokens"],
            added=("<|endofchunk|>", "<image>"),
        )
        (folder / "triptych.json").write_text('{"template": "mantis_openflamingo"}')
        made[kind] = opened(folder)
    return made


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("name", SAID["seen"])
@torch.no_grad()
def test_logits_and_replies_with_media_cached(models: dict[str, FlamingoModel], kind: str, name: str) -> None:
    model, said = models[kind], NETWORKS[kind]["seen"][name]
    ids_BT, mask_BT = torch.tensor(said["ids"]), torch.tensor(said["mask"])
    seen = pixels(model, SAID, [*chain(*SAID["seen"][name][1])])
    same_logits(model.network(ids_BT, seen, attention_mask=mask_BT).logits, said["logits"], mask_BT)
    model.network.generation_config.eos_token_id = None
    made_BT = model.network.generate(
        input_ids=ids_BT, pixel_values=seen, attention_mask=mask_BT, max_length=ids_BT.shape[1] + 8, pad_token_id=0
    )
    assert made_BT[:, ids_BT.shape[1] :].tolist() == said["greedy"]


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("name", ["captions", "pages"])
@torch.no_grad()
def test_loss_of_a_released_batch(models: dict[str, FlamingoModel], kind: str, name: str) -> None:
    """Released rows are filled up with blank pictures, which nobody sees; here each mark has its picture alone."""
    model, said = models[kind], NETWORKS[kind]["trained"][name]
    ids_BT, mask_BT, labels_BT = (torch.tensor(said[key]) for key in ("ids", "mask", "labels"))
    shown = [[name for name, _ in SAID["captions"]]] if name == "captions" else [row[2] for row in SAID["pages"]]
    seen = pixels(model, SAID, [*chain(*shown)])
    found = model.network(ids_BT, seen, attention_mask=mask_BT, labels=labels_BT)
    assert found.loss.item() == pytest.approx(said["loss"], abs=2e-5)
    same_logits(found.logits, said["logits"], mask_BT)


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_folder_opens_with_its_tokens(models: dict[str, FlamingoModel], kind: str) -> None:
    model, tokens = models[kind], NETWORKS[kind]["added"]
    assert {token: model.tokenizer.convert_tokens_to_ids(token) for token in tokens} == tokens
    assert model.image_token_id == tokens["<image>"]


def test_pictures_are_cut_as_the_towers_were_trained(models: dict[str, FlamingoModel]) -> None:
    said = NETWORKS["llama"]["trained"]["captions"]
    seen = pixels(models["llama"], SAID, [name for name, _ in SAID["captions"]])
    assert seen is not None
    values = seen.flatten()
    assert torch.allclose(values[:: values.numel() // 20], torch.tensor(said["pixels"]), **CLOSE)
