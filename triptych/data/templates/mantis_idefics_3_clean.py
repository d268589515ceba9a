"""mantis_idefics_3_clean: Mantis on Idefics3 with one beginning of text; trained are replies and their stops alone.

The default for new runs. Source: see ``mantis_idefics_3``.
"""

from dataclasses import replace

from triptych.data.templates import mantis_idefics_3

TEMPLATE = replace(mantis_idefics_3.TEMPLATE, name="mantis_idefics_3_clean", begin="{bos}", also_trained=())
