"""mantis_llama_3: Mantis on Llama 3 (Mantis-8B-clip-llama3, Mantis-8B-siglip-llama3), as it was published.

Source: Mantis (arXiv:2405.01483), ``conv_llama_3`` and ``MLlavaProcessor``. The system line is what the released
models were tuned with. As published, the assistant's header is trained with each reply and its ``<|eot_id|>``;
``mantis_llama_3_clean`` trains reply and stop alone. Where a tokenizer joins the header's line ends with what a reply
begins with, training does not start with the generation prompt; Llama 3's own does not.
"""

from triptych.data.template import Around, Template

TEMPLATE = Template(
    name="mantis_llama_3",
    begin="{bos}",
    system=Around("<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>"),
    user=Around("<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"),
    assistant=Around("<|start_header_id|>assistant<|end_header_id|>\n\n", ""),
    stop="<|eot_id|>",
    default_system="You are a pirate chatbot who always responds in pirate speak!",
    image_before="(image {k}: <Image>",
    image_after="</Image>)",
    also_trained=("header", "wrappers"),
)
