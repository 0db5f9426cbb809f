# SPDX-License-Identifier: MIT
"""Shells that complete: what each offers at the end of a line, as a person at a terminal gets it."""

import contextlib
import os
import pathlib
import pty
import shutil
import subprocess
import tempfile

from harness import Unavailable, eventually

COMPLETION = pathlib.Path(__file__).resolve().parents[2] / "completion"

END_OF_LINE, KILL_LINE = "\x05", "\x15"


class Terminal:
    """A shell on a terminal. What it offers it writes into a file, so that no screen need be read."""

    # What makes it do so, in its own language; {0} is where the completions are.
    SETUP = ""

    def __init__(self, *command, **environment):
        if not shutil.which(command[0]):
            raise Unavailable(f"{command[0]} is not installed")
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="portmon-test-"))
        self.process, self.terminal = pty.fork()
        if self.process == 0:
            os.chdir(self.directory)
            os.environ.update({**environment, "TERM": "dumb", "HOME": str(self.directory)})
            os.execvp(command[0], command)
        os.set_blocking(self.terminal, False)
        (self.directory / "setup").write_text(self.SETUP.format(COMPLETION))
        self.type(". ./setup\n")
        self.answer()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.terminal)  # with it the shell ends
        os.waitpid(self.process, 0)
        shutil.rmtree(self.directory)

    def type(self, text):
        os.write(self.terminal, text.encode())

    def answer(self):
        """Waits for what the shell writes, and returns its lines."""
        done, offered = self.directory / "done", self.directory / "offered"

        def has_come():
            # A shell stops when nobody reads what it shows.
            with contextlib.suppress(BlockingIOError):
                os.read(self.terminal, 1 << 16)
            return done.exists()

        eventually(has_come, "the shell answers")
        lines = offered.read_text().splitlines() if offered.exists() else []
        offered.unlink(missing_ok=True)
        done.unlink()
        return lines

    def complete(self, line):
        """The words that the shell offers where the line ends."""
        self.type(line + "\t")
        offered = self.answer()
        self.type(END_OF_LINE + KILL_LINE)
        return set(offered)


class Bash(Terminal):
    SETUP = """
        PS1= HISTFILE=
        bind 'set completion-query-items 0'
        bind 'set page-completions off'
        offer() {{
            "_$1"
            printf '%s\\n' "${{COMPREPLY[@]}}" >offered
            : >done
        }}
        . {0}/portmon.bash
        . {0}/portmond.bash
        complete -F offer portmon portmond
        : >done
    """

    def __init__(self, **environment):
        super().__init__("bash", "--norc", "--noprofile", "-i", **environment)

    def complete(self, line):
        return super().complete(line) - {""}


class Zsh(Terminal):
    # Matches are what is given to compadd, unless that only fills arrays.
    SETUP = """
        PROMPT=
        fpath=({0} $fpath)
        autoload -U compinit
        compinit -u -d dump
        zstyle ':completion:*' insert-tab false
        LISTMAX=100000
        compadd() {{
            local -a hits
            if [[ ${{@[1,(i)(-|--)]}} != *-[OAD]\\ * ]]; then
                builtin compadd -A hits "$@"
                (($#hits)) && print -rl -- $hits >>offered
            fi
            builtin compadd "$@"
        }}
        tell() {{ : >done }}
        # It forgets this list each time.
        offers() {{ comppostfuncs=(tell); zle expand-or-complete }}
        zle -N offers
        bindkey '^I' offers
        : >done
    """

    def __init__(self, **environment):
        super().__init__("zsh", "-f", "-i", **environment)

    def complete(self, line):
        # _arguments writes the value that an option wants into its name: "--port=".
        return {word.removesuffix("=") for word in super().complete(line)}


class Fish:
    def __init__(self, **environment):
        if not shutil.which("fish"):
            raise Unavailable("fish is not installed")
        self.environment = {**os.environ, **environment}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def complete(self, line):
        script = f"source {COMPLETION}/portmon.fish; source {COMPLETION}/portmond.fish; complete -C $argv[1]"
        done = subprocess.run(["fish", "--no-config", "-c", script, line], env=self.environment, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
        # A value that follows its option comes with it: "--role=server".
        prefix = line.split(" ")[-1].rpartition("=")[0]
        return {word.split("\t")[0].removeprefix(f"{prefix}=") for word in done.stdout.splitlines()}


SHELLS = {"bash": Bash, "zsh": Zsh, "fish": Fish}
