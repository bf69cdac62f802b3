"""Small git repositories for tests."""

import subprocess


def git(folder, *words):
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def git_commit(folder, message):
    git(folder, "-c", "user.name=test", "-c", "user.email=", "commit", "--quiet", "-m", message)
    return git(folder, "rev-parse", "HEAD")
