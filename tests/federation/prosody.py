"""Balcony and Prosody, by certificates and by dialback."""

from _balcony import Balcony
from _exchange import main
from _prosody import Prosody
from _report import run

run(lambda folder, cleanup: main(folder, cleanup, (Balcony, Prosody)))
