"""mantis_mllava_v1_mmtag_clean: the ids of mantis_mllava_v1_mmtag; replies and their stops alone are trained.

The default for new runs. Source: see ``mantis_mllava_v1_mmtag``.
"""

from dataclasses import replace

from triptych.data.templates import mantis_mllava_v1_mmtag

TEMPLATE = replace(mantis_mllava_v1_mmtag.TEMPLATE, name="mantis_mllava_v1_mmtag_clean", also_trained=())
