import shutil
import subprocess

import pytest

from iqa.tracking import provenance


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with one commit of a package in it, which stands for ours."""
    if shutil.which("git") is None:
        pytest.skip("there is no git here")
    package = tmp_path / "iqa"
    package.mkdir()
    (package / "__init__.py").write_text("version = 1\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--quiet", "-m", "first")
    monkeypatch.setattr(provenance, "PACKAGE", package)
    provenance.commit_tags.cache_clear()
    yield tmp_path
    provenance.commit_tags.cache_clear()


def git(folder, *arguments):
    return subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True, text=True).stdout.strip()


def test_a_clean_tree_is_its_commit_and_has_no_diff(repository):
    assert provenance.commit_tags() == {"git.commit": git(repository, "rev-parse", "HEAD"), "git.dirty": "false"}
    assert provenance.diff() == ""


def test_a_dirty_tree_is_told_with_its_diff_and_its_untracked_files(repository):
    (repository / "iqa" / "__init__.py").write_text("version = 2\n")
    (repository / "new.py").write_text("x = 1\n")
    assert provenance.commit_tags()["git.dirty"] == "true"
    assert "# untracked: new.py\n" in provenance.diff() and "+version = 2" in provenance.diff()


def test_an_untracked_file_alone_makes_a_tree_dirty(repository):
    (repository / "new.py").write_text("x = 1\n")
    assert provenance.commit_tags()["git.dirty"] == "true" and "new.py" in provenance.diff()


def test_a_package_installed_inside_somebody_else_s_repository_has_no_commit(repository, monkeypatch):
    installed = repository / "site-packages" / "iqa"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    monkeypatch.setattr(provenance, "PACKAGE", installed)
    assert provenance.commit_tags() == {} and provenance.diff() == ""


def test_without_a_repository_or_without_git_the_tags_are_absent(repository, tmp_path, monkeypatch):
    shutil.rmtree(repository / ".git")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance.commit_tags() == {}
    provenance.commit_tags.cache_clear()
    monkeypatch.setenv("PATH", "")
    assert provenance.commit_tags() == {} and provenance.diff() == ""


def test_the_environment_names_every_package_with_its_version():
    lines = provenance.environment().splitlines()
    assert lines[0].startswith("# python 3.") and any(line.startswith("torch==") for line in lines)
    assert lines[2:] == sorted(lines[2:], key=str.lower)
