"""`cloudsync providers --check` and `--new`."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Shell


def test_a_whole_plugin_is_ok(shell: Shell) -> None:
    done = shell.types("providers", "--check", "hetzner")
    assert (done.returncode, done.stdout) == (0, "hetzner: ok\n")


def test_a_plugin_that_does_not_load_names_file_line_and_message(
    shell: Shell, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    info = site / "cloudsync_bad-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: cloudsync-bad\nVersion: 1\n")
    points = "[cloudsync_firewall.providers]\nbad = cloudsync_bad:provider\n"
    (info / "entry_points.txt").write_text(points)
    (site / "cloudsync_bad.py").write_text("import os\nprovider = os.nothing_of_the_kind\n")
    done = shell.types("providers", "--check", "bad", PYTHONPATH=str(site))
    said = " ".join(done.stdout.split())
    assert done.returncode == 1
    assert "cloudsync_bad.py:2" in said
    assert "nothing_of_the_kind" in said
    loud = shell.types("providers", "--check", "bad", "-v", PYTHONPATH=str(site))
    assert "Traceback" in loud.stderr


def test_a_new_provider_is_written_and_named(shell: Shell) -> None:
    done = shell.types("providers", "--new", "creek", "--into", str(shell.folder / "work"))
    assert done.returncode == 0, done.stderr
    assert (shell.folder / "work/cloudsync-creek/cloudsync_creek/plugin.py").is_file()
    assert "pip install -e" in done.stdout
    again = shell.types("providers", "--new", "creek", "--into", str(shell.folder / "work"))
    assert again.returncode == 64
    assert "exists already" in again.stderr
