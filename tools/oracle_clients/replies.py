"""Replies to be judged, put together by chance from what models' replies are made of; the same seed makes the same replies."""
import random

NUMBERS = ["18", "3", "540", "-7", "0", "1,250", "12.5", "0.75", "70,000", "64", "2.50", "100000", "9", "-0.5", "1,234,567"]
MATHEMATICS = [r"\frac{3}{4}", r"2\sqrt{3}", "42", r"(3,-2)", r"[0,\infty)", r"\frac{\pi}{6}", "x^2-5x+6", r"\{1,2,3\}", "0.25", r"-\frac{7}{2}",
               r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}", r"5\%", r"\text{Evelyn}", r"2^{10}", r"\frac{1+\sqrt{5}}{2}", "12", r"(-\infty,2)\cup(2,\infty)",
               r"10\text{ cm}", "3+4i", r"\sqrt[3]{2}", r"1{,}000", r"\frac{a}{b}", r"e^{2}", "x=5", "-1", r"90^\circ", r"\$18.90", "y=2x+1", "0.333", r"\tfrac12"]
REASONING = ["We add the two numbers.", "First, 3 apples cost $6.", "So 2 + 2 = 4.", "Let $x$ be the answer.", "Half of 36 is 18.", "Therefore,", "That is 12.5% of 80.",
             "Step 1: multiply.\nStep 2: divide by 7.", "I am not sure.", r"Then $\frac{1}{2}\cdot 8 = 4$.", "It is (B) or (C), but not (A).", "Hence the claim.", ""]
ENDINGS = ["#### {}", "The answer is {}.", "The answer is {}", "The final answer is {}", r"\boxed{{{}}}", r"So the answer is $\boxed{{{}}}$.", "Answer: {}", "**{}**", "${}$", "{}",
           "= {}", "the answer is: {}.", "The best answer is {}.", "The final answer is ${}$. I hope it is correct.", "Final Answer: The final answer is ${}$. I hope it is correct.",
           "answer is ({})", "answer is {}", "({})", "{}.", "{}\n\nQuestion: next?", "{} apples", "\n{}", " {} \nB", r"\boxed {}$", r"$\boxed{{{}}}$ and \boxed{{7}}", "", "#### ${}",
           "#### {} dollars", "The answer is ({}).", "answer: ({})"]
OPTIONS = ["red", "blue", "a green one", "42", "none of these", "the second law", "1/2", "all of the above", "yes", "no"]


def number_like(gold, chance):
    plain = gold.replace(",", "")
    return chance.choice([gold, gold, plain, f"${gold}", f"{gold}.00", f"{gold}.", f"{plain}0", str(chance.randrange(100)), f"{gold}%", f"-{plain}",
                          f"{float(plain):.1f}", f" {gold}", f"{gold} "])


def letter_like(gold, chance, letters):
    return chance.choice([gold, gold, f"({gold})", gold.lower(), f"({gold.lower()})", f"{gold})", f"{gold}.", chance.choice(letters), f"({chance.choice(letters)})",
                          f"{gold} because", "Z", f"*{gold}*"])


def mathematics_like(gold, chance):
    return chance.choice([gold, gold, gold, gold.replace(r"\frac", r"\dfrac"), gold.replace(" ", ""), f" {gold} ", f"{gold}.", rf"\left{gold}\right" if gold[0] in "([" and gold[-1] in ")]"
                          else gold, gold.replace("3", "4"), f"x = {gold}", rf"{gold}\,", gold.replace(r"\frac{3}{4}", "0.75"),
                          chance.choice(MATHEMATICS), rf"{gold}\text{{ units}}", rf"\displaystyle {gold}", gold.replace("{1+", "{ 1 + ")])


def reply(form, gold, chance, letters="", options=()):
    if form == "number":
        said = number_like(gold, chance)
    elif form == "letter":
        said = chance.choice(options) if options and chance.random() < 0.15 else letter_like(gold, chance, letters)
    else:
        said = mathematics_like(gold, chance)
    parts = chance.sample(REASONING, chance.randrange(3)) + [chance.choice(ENDINGS).format(said)]
    if chance.random() < 0.2:
        parts.append(chance.choice(REASONING))
    if chance.random() < 0.1:
        parts.insert(0, chance.choice(ENDINGS).format(chance.choice(NUMBERS) if form == "number" else chance.choice(letters or "x")))
    return chance.choice([" ", "\n", "\n\n"]).join(parts)


def rows_of(form, letters, count, seed):
    """`count` rows {id, prediction, gold, choices} for golds of a form: number, integer, letter or mathematics."""
    chance = random.Random(seed)
    for index in range(count):
        options = chance.sample(OPTIONS, len(letters)) if letters else []
        gold = {"number": lambda: chance.choice(NUMBERS), "integer": lambda: str(chance.randrange(1000)),
                "letter": lambda: chance.choice(letters), "mathematics": lambda: chance.choice(MATHEMATICS)}[form]()
        row = {"id": index, "prediction": reply("number" if form == "integer" else form, gold, chance, letters, options), "gold": gold}
        yield row | ({"choices": options} if options else {})


WORDS = ("the a of in to and is was river Paris 1984 blue Einstein theory paper results model data training 12 set new York's city-state don't U.S. "
         "method loss (approximately) café naïve war peace; king queen, tree.").split()
CLASSES = ["City", "Date", "Country", "Individual", "Other entity", "Other location", "Number", "Reason", "Event", "Animal", "Abbreviation"]
CODE = ["return x + 1", "for i in range(10):", "self.value = value", "// done", "if (a == b) {", "}", "import os", "    print(name)", "# a comment", "x = foo(bar, baz)"]
# Which kind of answer each data set of LongBench has.
LONGBENCH = {"narrativeqa": "words", "qasper": "words", "multifieldqa_en": "words", "hotpotqa": "words", "2wikimqa": "words", "musique": "words",
             "gov_report": "text", "qmsum": "text", "multi_news": "text", "samsum": "text", "trec": "class", "triviaqa": "words", "passage_count": "count",
             "passage_retrieval_en": "paragraph", "lcc": "code", "repobench-p": "code"}


def words(chance, most):
    return " ".join(chance.choices(WORDS, k=chance.randrange(1, most + 1)))


def answer_of(kind, chance):
    if kind == "class":
        return chance.choice(CLASSES)
    if kind in ("count", "paragraph"):
        return ("Paragraph " if kind == "paragraph" else "") + str(chance.randrange(1, 31))
    return chance.choice(CODE) if kind == "code" else words(chance, 60 if kind == "text" else 5)


def longbench_rows(count, seed):
    """`count` rows {id, dataset, prediction, answers, all_classes}, of all data sets in turn; the reply holds a right answer half of the times."""
    chance = random.Random(seed)
    for index in range(count):
        dataset, kind = list(LONGBENCH.items())[index % len(LONGBENCH)]
        answers = [answer_of(kind, chance) for _ in range(1 if kind in ("class", "count", "paragraph", "code") else chance.randrange(1, 4))]
        said = chance.choice(answers) if chance.random() < 0.5 else answer_of(kind, chance)
        if kind == "text" and chance.random() < 0.8:
            said = " ".join(word for word in said.split() if chance.random() < 0.8) + "\n" + words(chance, 20)
        parts = [chance.choice(["", "", words(chance, 8), "The answer is", "```", chance.choice(CLASSES), "\n"]), said, chance.choice(["", "", ".", words(chance, 8), "\nnext line"])]
        yield {"id": index, "dataset": dataset, "prediction": chance.choice([" ", "\n"]).join(parts), "answers": answers,
               "all_classes": CLASSES if kind == "class" else []}
