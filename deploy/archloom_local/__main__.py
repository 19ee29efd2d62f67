"""`python -m archloom_local`: the same as `archloom local`."""

from archloom_local.cli import app

app(prog_name="archloom local")
