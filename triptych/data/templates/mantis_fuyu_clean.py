"""mantis_fuyu_clean: the ids of mantis_fuyu; replies and their stops alone are trained.

The default for new runs. Source: see ``mantis_fuyu``.
"""

from dataclasses import replace

from triptych.data.templates import mantis_fuyu

TEMPLATE = replace(mantis_fuyu.TEMPLATE, name="mantis_fuyu_clean", also_trained=())
