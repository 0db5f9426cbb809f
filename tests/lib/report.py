# SPDX-License-Identifier: MIT
"""One report in TAP out of those of several test files that ran somewhere else."""

import re


class Report:
    POINT = re.compile(r"(not ok|ok) \d+ - (.*)")

    def __init__(self):
        self.points = 0
        self.failed = 0

    def point(self, result, title):
        self.points += 1
        self.failed += result != "ok"
        print(f"{result} {self.points} - {title}")

    def relay(self, file, text, where=""):
        """Passes on what a file reported, and where it ran; returns whether all is well."""
        planned, points, failed = 0, self.points, self.failed
        for line in text.splitlines():
            point = self.POINT.fullmatch(line)
            if point:
                self.point(point[1], where + point[2])
            elif line.startswith("1.."):
                planned = int(line[3:].split()[0])
            else:
                print(line if line.startswith("#") else f"# {line}")
        if not planned or self.points - points != planned:
            self.point("not ok", f"{file} runs to its end")
        return self.failed == failed
