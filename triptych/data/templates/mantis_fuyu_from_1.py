"""mantis_fuyu_from_1: mantis_fuyu_clean, but the first image is image 1, as the questions of Mantis-Instruct have it.

For new runs on Fuyu: as published, the conversation says ``image 0`` where its words say "image 1". Source: see
``mantis_fuyu``.
"""

from dataclasses import replace

from triptych.data.templates import mantis_fuyu

TEMPLATE = replace(mantis_fuyu.TEMPLATE, name="mantis_fuyu_from_1", first_number=1, also_trained=())
