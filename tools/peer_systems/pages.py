"""Tables in the documentation that programs write, between two comments that say so."""


def rows_of(page, program):
    """{first cell: line} of the table's body."""
    table = page.read_text(encoding="utf-8").partition(_begin(program))[2].partition(_end(program))[0]
    return {line.split("|")[1].strip(): line for line in table.splitlines()[2:]}


def write_rows(page, program, columns, rows, order):
    """Puts the new rows into the table, under `columns`, in the given order of first cells; rows of others in `order` stay."""
    body = rows_of(page, program) | rows
    lines = [line_of(columns), "|" + "---|" * len(columns), *(body[name] for name in order if name in body)]
    before, _, rest = page.read_text(encoding="utf-8").partition(_begin(program))
    after = rest.partition(_end(program))[2]
    page.write_text(before + _begin(program) + "\n".join(lines) + "\n" + _end(program) + after, encoding="utf-8")


def line_of(cells):
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _begin(program):
    return f"<!-- written by {program} -->\n"


def _end(program):
    return f"<!-- end of what {program} wrote -->\n"
