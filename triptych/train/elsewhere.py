"""What other trainers call a setting -> what a recipe calls it: told where somebody writes the former.

The table in ``docs/migrating.md`` has most of them with more words; a test holds that every key named here exists.
"""

from __future__ import annotations

_BATCH = "step_tokens (tokens of an optimizer step) and forward_tokens (of what a GPU holds at once)"
_LENGTH = "length, e.g. '3 epochs' or '500 steps'"
_RATE = "parts.PART.rate, of each part that moves"
_SCHEDULE = "schedule (cosine, linear, constant) and floor"
_TOO_LONG = "pack_tokens, and budget for what is done with longer rows: nothing is cut"
_WARMUP = "warmup, e.g. '0.03 epochs' or '100 steps'"
_MIXING = "mixing, and weight and limit of a source"
_OPTIMIZER = "betas, decay and clip: the optimizer is AdamW"
_PACKING = "pack_tokens: rows are always packed, and see only themselves"
_FROZEN = "parts.PART.train: frozen, full, lora, dora, qlora or qdora"
_SAVE = "checkpoint_every, e.g. '200 steps'"
_TURNS = 'the transform learn_last, or "loss": false on a reply'
_HELD = "validation, over rows that `triptych data split` holds out"

ELSEWHERE = {
    "adam_beta1": "betas",
    "adam_beta2": "betas",
    "aligner_lr": _RATE,
    "bf16": "precision: bfloat16",
    "cutoff_len": _TOO_LONG,
    "deepspeed": "parallel.kind: fsdp or ddp",
    "dataset": "data, a list of {source: FORMAT:PATH}",
    "epochs": _LENGTH,
    "eval_steps": _HELD,
    "freeze_aligner": _FROZEN,
    "freeze_language_model": _FROZEN,
    "freeze_llm": _FROZEN,
    "freeze_multi_modal_projector": _FROZEN,
    "freeze_vision_tower": _FROZEN,
    "freeze_vit": _FROZEN,
    "fsdp": "parallel.kind: fsdp",
    "gradient_accumulation_steps": _BATCH,
    "gradient_checkpointing": "checkpoint_activations: true",
    "image_max_pixels": "model.image_processor: {max_pixels: ...}, or budget.image_tokens",
    "interleave_probs": _MIXING,
    "learning_rate": _RATE,
    "load_best_model_at_end": "validation.keep: lowest",
    "lora_alpha": "parts.PART.alpha",
    "lora_dropout": "parts.PART.dropout",
    "lora_rank": "parts.PART.rank",
    "lora_target": "parts.PART.targets",
    "lorap_lr_ratio": "parts.PART.rate_b",
    "loraplus_lr_ratio": "parts.PART.rate_b",
    "loss_scale": _TURNS,
    "lr": _RATE,
    "lr_scheduler_type": _SCHEDULE,
    "mask_history": _TURNS,
    "max_grad_norm": "clip",
    "max_length": _TOO_LONG,
    "max_pixels": "model.image_processor: {max_pixels: ...}, or budget.image_tokens",
    "max_steps": _LENGTH,
    "merge_lora": "nothing: a run's model is merged; of an unfinished run, triptych merge",
    "min_lr_rate": "floor",
    "mix_strategy": _MIXING,
    "model_max_length": _TOO_LONG,
    "neat_packing": _PACKING,
    "num_train_epochs": _LENGTH,
    "optim": _OPTIMIZER,
    "optimizer": _OPTIMIZER,
    "output_dir": "name: the run is runs/NAME",
    "packing": _PACKING,
    "per_device_train_batch_size": _BATCH,
    "predict_with_generate": "nothing: triptych eval RUN own --data FORMAT:PATH, when it is trained",
    "quantization_bit": "parts.PART.train: qlora",
    "report_to": "log",
    "resume_from_checkpoint": "nothing: the same command goes on",
    "save_steps": _SAVE,
    "save_total_limit": "keep_checkpoints",
    "split_dataset_ratio": _HELD,
    "target_modules": "parts.PART.targets",
    "use_dora": "parts.PART.train: dora",
    "use_rslora": "parts.PART.scale: root",
    "val_size": _HELD,
    "vit_lr": _RATE,
    "warmup_ratio": _WARMUP,
    "warmup_steps": _WARMUP,
    "weight_decay": "decay",
}
"""Options of Hugging Face's Trainer, TRL, LLaMA-Factory and ms-swift."""
