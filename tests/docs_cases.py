"""The pages of docs/, and the commands that stand there."""

import re
import subprocess

from job_cases import PROJECT
from server_cases import environment


def page(name):
    return (PROJECT / "docs" / name).read_text("utf-8")


def bash_blocks(name):
    """Give the text of each block of a page that is marked as bash."""
    return re.findall(r"^```bash\n(.*?)^```", page(name), re.MULTILINE | re.DOTALL)


def run_bash(block, folder, **settings):
    """Run a block as it stands, in a folder; return what it prints."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=folder,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
