"""mantis_fuyu_clean: the ids of mantis_fuyu; replies and their stops alone are trained.

Source: see ``mantis_fuyu``. For new runs ``mantis_fuyu_from_1`` is better where words name images by number.
"""

from dataclasses import replace

from triptych.data.templates import mantis_fuyu

TEMPLATE = replace(mantis_fuyu.TEMPLATE, name="mantis_fuyu_clean", also_trained=())
