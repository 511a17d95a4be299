"""The code blocks of the documents, and the mark that each of them carries.

A block is fenced by ``` or indented by four blanks. The line of text before it may be a mark, an HTML comment, which
says what proves the block; what each mark means is told in tests/docs/README.md.
"""
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

MARK = re.compile(r"\s*<!-- (.*) -->\s*$")
ITEM = re.compile(r"(\s*)([-*+]|\d+[.)])(\s+)\S")
FENCE = re.compile(r"(\s*)```+\s*(\w*)\s*$")


def need_programs(binaries, names):
    """Ends with what to do when one of our programs is not there."""
    missing = [name for name in names if not os.access(os.path.join(binaries, name), os.X_OK)]
    if missing:
        raise SystemExit(f"{binaries} has no {', '.join(missing)}: build them, or give --bin DIR")


def documents():
    """README.md and every document below docs, by name."""
    found = ["README.md"]
    for folder, _, names in os.walk(os.path.join(ROOT, "docs")):
        found += [os.path.relpath(os.path.join(folder, name), ROOT) for name in names if name.endswith(".md")]
    return sorted(found)


def text_of(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        return file.read()


def here_document(text):
    found = re.search(r"<<'?(\w+)'?", text)
    return found.group(1) if found else None


class Block:
    """`number`: of the first line of the code. `begin`, `end`: the lines it spans in the file, from 0, as a slice.
    `margin`: how far it is indented. `language`: of a fenced one, else None."""

    def __init__(self, name, begin, end, lines, mark, language, margin=0):
        self.name, self.begin, self.end, self.lines, self.mark = name, begin, end, lines, mark
        self.language, self.margin = language, margin
        self.number = begin + (2 if language is not None else 1)

    @property
    def kind(self):
        """The words of the mark before its colon."""
        return self.mark.split(":")[0].strip() if self.mark else None

    @property
    def value(self):
        """The words of the mark behind its colon."""
        return self.mark.partition(":")[2].strip() if self.mark else ""

    @property
    def text(self):
        return "\n".join(self.lines) + "\n"

    def commands(self):
        """[line number, command, lines that it prints] of each `$ COMMAND`."""
        found, open_until = [], None   # open_until: the line that ends the here-document under way
        for number, line in enumerate(self.lines, self.number):
            going_on = found and not found[-1][2] and found[-1][1].endswith("\\")
            if open_until or going_on:
                found[-1][1] += "\n" + line
                open_until = None if line == open_until else open_until or here_document(line)
            elif line.startswith("$ "):
                found.append([number, line[2:], []])
                open_until = here_document(line)
            elif found:
                found[-1][2].append(line)
        for command in found:
            while command[2] and not command[2][-1].strip():
                command[2].pop()
        return found


def mark_before(lines, at):
    """The mark in the last line of text before line `at`."""
    while at > 0 and not lines[at - 1].strip():
        at -= 1
    found = MARK.match(lines[at - 1]) if at > 0 else None
    return found.group(1) if found else None


def indent_of(line):
    return len(line) - len(line.lstrip(" "))


def indented(lines, begin, margin):
    """Where the indented block that begins at `begin` ends."""
    end = begin
    while end < len(lines) and (not lines[end].strip() or indent_of(lines[end]) >= margin):
        end += 1
    while not lines[end - 1].strip():
        end -= 1
    return end


def blocks_of(name, text):
    """The blocks of a document, in order. Within an item of a list, code is indented by four more than its text."""
    lines, at, item, blank = text.split("\n"), 0, 0, True
    while at < len(lines):
        line, begin = lines[at], at
        fence = FENCE.match(line)
        if fence:
            at += 1
            while at < len(lines) and not lines[at].strip().startswith("```"):
                at += 1
            at += 1
            code = [inner[len(fence.group(1)):] for inner in lines[begin + 1:at - 1]]
            yield Block(name, begin, at, code, mark_before(lines, begin), fence.group(2))
            blank = True
        elif line.strip() and blank and indent_of(line) >= item + 4:
            at = indented(lines, begin, item + 4)
            code = [inner[item + 4:] for inner in lines[begin:at]]
            yield Block(name, begin, at, code, mark_before(lines, begin), None, item + 4)
            blank = True
        else:
            found = ITEM.match(line)
            if found:
                item = len(found.group(0)) - 1   # where its text begins
            elif line.strip() and indent_of(line) == 0 and blank:
                item = 0
            blank = not line.strip() or MARK.match(line) is not None
            at += 1


def blocks_in(names):
    return [block for name in names for block in blocks_of(name, text_of(name))]
