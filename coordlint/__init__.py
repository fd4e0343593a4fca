"""A static analyser for coordination designs: orchestration, choreography and the hybrids between them."""

import os

__version__ = "0.1.0"

_checkout = os.path.dirname(__path__[0])
if os.path.isfile(os.path.join(_checkout, "grammar", "coord.lark")):
    # In a checkout the grammar and the rules stand beside this folder, not in it; so they are found without an installation.
    __path__.append(_checkout)
