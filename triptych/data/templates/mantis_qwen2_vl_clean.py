"""mantis_qwen2_vl_clean: the ids of mantis_qwen2_vl; replies and their stops alone are trained.

The default for new runs. Source: see ``mantis_qwen2_vl``.
"""

from dataclasses import replace

from triptych.data.templates import mantis_qwen2_vl

TEMPLATE = replace(mantis_qwen2_vl.TEMPLATE, name="mantis_qwen2_vl_clean", also_trained=())
