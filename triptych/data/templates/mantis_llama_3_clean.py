"""mantis_llama_3_clean: the ids of mantis_llama_3; replies and their stops alone are trained.

The default for new runs. Source: see ``mantis_llama_3``.
"""

from dataclasses import replace

from triptych.data.templates import mantis_llama_3

TEMPLATE = replace(mantis_llama_3.TEMPLATE, name="mantis_llama_3_clean", also_trained=())
