"""A Triptych model inside lmms-eval: its tasks and scores, our prompts, batches and shared images.

    pip install lmms-eval
    python examples/lmms_eval_bridge.py --model triptych --model_args pretrained=runs/demo/model --tasks mmmu_val

Written for lmms-eval 0.7.3, whose command line this is; ``docs/engine.md`` says how to install it without another
torch. ``pretrained`` may be all that ``triptych eval`` takes as MODEL, and other ``model_args`` are its KEY=VALUE.
Images stand where a task's ``doc_to_messages`` puts them; tasks without one put all images in front, which is theirs to
mend. Greedy: a task that samples is refused, not answered otherwise.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from lmms_eval.api.instance import GenerationResult, Instance, TokenCounts
from lmms_eval.api.model import lmms
from lmms_eval_messages import example_of

from triptych.core.errors import ConfigError, RunError
from triptych.core.records import Answer, Example
from triptych.infer.opening import open_responder

NAME = "triptych"
REPLY_TOKENS = 1024
"""Most tokens of a reply where a task says nothing, as lmms-eval's own models have it."""
NOT_OURS = ("batch_size", "max_batch_size", "device")
"""What lmms-eval hands to every model and ours finds out by itself."""


class TriptychModel(lmms):
    """Answers lmms-eval's requests with a Responder."""

    is_simple = False

    def __init__(self, pretrained: str, **settings: object) -> None:
        """Open the model; ``settings`` are KEY=VALUE of ``triptych eval``."""
        super().__init__()
        said = [f"{key}={value}" for key, value in settings.items() if key not in NOT_OURS and value is not None]
        self._responder = open_responder(pretrained, said).responder

    def generate_until(self, requests: list[Instance]) -> list[GenerationResult]:
        """Return the replies in the order of the requests; those with the same limit are asked together."""
        by_limit: defaultdict[int, list[Example]] = defaultdict(list)
        stops: dict[str, Sequence[str]] = {}
        for number, request in enumerate(requests):
            _, doc_to_messages, wanted, doc_id, task, split = request.args
            name = f"{number}: {task}, document {doc_id}"
            _refuse_sampling(wanted, name)
            messages = doc_to_messages(self.task_dict[task][split][doc_id])
            by_limit[int(wanted.get("max_new_tokens", REPLY_TOKENS))].append(example_of(messages, name))
            stops[name] = _stops(wanted)
        found: dict[str, Answer] = {}
        for limit, questions in by_limit.items():
            for said in self._responder.answer(questions, max_tokens=limit):
                if not isinstance(said, Answer):
                    # lmms-eval knows no failed items: an empty reply would count as a wrong one.
                    raise RunError(f"{said.id}: {said.reason}")
                found[said.id] = said
        return [_result(found[name], stop) for name, stop in stops.items()]

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Refuse: replies are generated."""
        raise NotImplementedError("Triptych generates replies; choose a task of output_type generate_until.")

    def generate_until_multi_round(self, requests: list[Instance]) -> list[str]:
        """Refuse: a conversation is asked as a whole."""
        raise NotImplementedError("Triptych is asked whole conversations; choose a task of output_type generate_until.")


def _refuse_sampling(wanted: Mapping[str, Any], name: str) -> None:
    if wanted.get("do_sample") and wanted.get("temperature", 0) > 0:
        raise ConfigError(f"{name} wants sampled replies, and these are greedy: add --gen_kwargs do_sample=False.")


def _stops(wanted: Mapping[str, Any]) -> Sequence[str]:
    stops = wanted.get("until") or []
    return [stops] if isinstance(stops, str) else [stop for stop in stops if stop]


def _result(answer: Answer, stops: Sequence[str]) -> GenerationResult:
    text = min((answer.text.partition(stop)[0] for stop in stops), key=len, default=answer.text)
    return GenerationResult(text, TokenCounts(input_tokens=answer.tokens_in, output_tokens=answer.tokens_out))


def main() -> None:
    """Make the model known to lmms-eval, and go on as its command line."""
    from lmms_eval.__main__ import cli_evaluate
    from lmms_eval.models import MODEL_REGISTRY_V2
    from lmms_eval.models.registry_v2 import ModelManifest

    # By a module's name: this file runs as __main__, and the folder of a script is on the path.
    MODEL_REGISTRY_V2.register_manifest(ModelManifest(NAME, chat_class_path="lmms_eval_bridge.TriptychModel"))
    sys.argv[0] = "lmms-eval"
    cli_evaluate()


if __name__ == "__main__":
    main()
