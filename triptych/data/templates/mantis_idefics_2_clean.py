"""mantis_idefics_2_clean: the ids of mantis_idefics_2; replies and their stops alone are trained.

The default for new runs. Source: see ``mantis_idefics_2``.
"""

from dataclasses import replace

from triptych.data.templates import mantis_idefics_2

TEMPLATE = replace(mantis_idefics_2.TEMPLATE, name="mantis_idefics_2_clean", also_trained=())
