"""mantis_plain_clean: mantis_plain's ids, and trained are the caption and its line end alone.

The default for new runs. Source: see ``mantis_plain``. Training starts with the generation prompt.
"""

from dataclasses import replace

from triptych.data.templates import mantis_plain

TEMPLATE = replace(mantis_plain.TEMPLATE, name="mantis_plain_clean", also_trained=())
