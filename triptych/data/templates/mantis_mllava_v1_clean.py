"""mantis_mllava_v1_clean: the ids of mantis_mllava_v1; replies and their stops alone are trained.

The default for new runs. Source: see ``mantis_mllava_v1``.
"""

from dataclasses import replace

from triptych.data.templates import mantis_mllava_v1

TEMPLATE = replace(mantis_mllava_v1.TEMPLATE, name="mantis_mllava_v1_clean", also_trained=())
