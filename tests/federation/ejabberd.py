"""Balcony and ejabberd, by certificates and by dialback."""

from _balcony import Balcony
from _exchange import main
from _ejabberd import Ejabberd
from _report import run

run(lambda folder, cleanup: main(folder, cleanup, (Balcony, Ejabberd)))
