"""The command line as a user meets it: exit code, stdout, stderr."""

import signal

import pytest

from prensa.cli import main as cli


@pytest.fixture
def command(capsys, monkeypatch):
    """Run ``prensa`` with arguments; return its exit code and what it printed."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setenv("COLUMNS", "200")

    def command(*arguments):
        monkeypatch.setattr("sys.argv", ["prensa", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        captured = capsys.readouterr()
        return stopped.value.code, captured.out, captured.err

    return command


@pytest.fixture
def assert_refused():
    """Check that a command failed as all do: one line on stderr, exit code 2."""

    def assert_refused(result, message):
        code, out, err = result
        assert (code, out) == (2, "")
        assert err.startswith("prensa: error: ")
        assert err.count("\n") == 1
        assert message in err

    return assert_refused
