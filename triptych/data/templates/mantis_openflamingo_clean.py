"""mantis_openflamingo_clean: the ids of mantis_openflamingo; replies and their stops alone are trained.

The default for new runs. Source: see ``mantis_openflamingo``.
"""

from dataclasses import replace

from triptych.data.templates import mantis_openflamingo

TEMPLATE = replace(mantis_openflamingo.TEMPLATE, name="mantis_openflamingo_clean", also_trained=())
