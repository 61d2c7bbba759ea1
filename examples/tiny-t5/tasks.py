"""Three made-up tasks whose answers can be checked; the prefix of a prompt chooses the task, as with FLAN-T5.

No model and no tokenizer is known here: only prompts, right answers, and which of them training must never see.
"""

import datetime
import zlib
from collections.abc import Callable
from random import Random
from typing import NamedTuple

BELOW_TEN = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEN_TO_FOURTEEN = ("ten", "eleven", "twelve", "thirteen", "fourteen")
FIFTEEN_TO_NINETEEN = ("fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
BELOW_TWENTY = BELOW_TEN + TEN_TO_FOURTEEN + FIFTEEN_TO_NINETEEN
TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
FIRST_HALF = ("January", "February", "March", "April", "May", "June")
SECOND_HALF = ("July", "August", "September", "October", "November", "December")
MONTHS = FIRST_HALF + SECOND_HALF
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

FIRST_DAY = datetime.date(1900, 1, 1)
LAST_DAY = datetime.date(2099, 12, 31)
LONGEST_COUNT = 11
LAST_START = 999


class Example(NamedTuple):
    """`key` decides whether training may see the example; a building block always is in training."""

    prompt: str
    answer: str
    key: str
    is_building_block: bool


class Task(NamedTuple):
    """One of `held_out_one_in` keys is held out; `share` weighs the task in training."""

    draw: Callable[[Random], Example]
    held_out_one_in: int
    share: float


def spell(number: int) -> str:
    """American style: no «and», tens and ones joined by a hyphen. 0 to 999,999."""
    if number < 20:
        return BELOW_TWENTY[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return TENS[tens] + (f"-{BELOW_TWENTY[ones]}" if ones else "")
    unit, name = (1000, "thousand") if number >= 1000 else (100, "hundred")
    count, rest = divmod(number, unit)
    return f"{spell(count)} {name}" + (f" {spell(rest)}" if rest else "")


def count(first: int, last: int) -> str:
    return ", ".join(spell(number) for number in range(first, last + 1))


def ordinal(day: int) -> str:
    is_teen = 10 < day < 20
    return f"{day}{'th' if is_teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(day % 10, 'th')}"


def spellings(date: datetime.date) -> list[str]:
    """The ways of writing a date that the model learns. 03/04/2024 is ambiguous, so it is not among them."""
    month, day, year = MONTHS[date.month - 1], date.day, date.year
    short, nth = month[:3], ordinal(day)
    plain = [
        *(f"{month} {day}, {year}", f"{month} {nth}, {year}", f"{month} {day} {year}", f"{month} the {nth}, {year}"),
        *(f"{day} {month} {year}", f"{nth} {month} {year}", f"{nth} of {month} {year}", f"the {nth} of {month} {year}"),
        *(f"{nth} of {month}, {year}", f"the {nth} of {month}, {year}", f"{day}. {month} {year}"),
        *(f"{short} {day}, {year}", f"{short} {day} {year}", f"{day} {short} {year}", f"{short}. {day}, {year}"),
        *(f"{day}-{short}-{year}", f"{nth} {short} {year}"),
    ]
    weekday = WEEKDAYS[date.weekday()]
    named = [f"{name}, {text}" for name in (weekday, weekday[:3]) for text in plain]
    year_first = [f"{year} {month} {day}", f"{year}, {month} {day}", f"{year}/{date.month:02}/{day:02}"]
    return plain + named + year_first


def draw_spell(rng: Random) -> Example:
    """Every number of digits has a fair share, although most numbers have six."""
    digits = rng.choices(range(1, 7), weights=(1, 2, 4, 5, 6, 6))[0]
    number = rng.randrange(10 ** (digits - 1) if digits > 1 else 0, 10**digits)
    return Example(f"spell: {number}", spell(number), f"spell {number}", is_building_block=number < 100)


def draw_date(rng: Random) -> Example:
    """The year 2000 is the building block: it shows every day of every month. One prompt in ten is lower case."""
    date = FIRST_DAY + datetime.timedelta(days=rng.randrange((LAST_DAY - FIRST_DAY).days + 1))
    text = rng.choice(spellings(date))
    text = text.lower() if rng.random() < 0.1 else text
    return Example(f"date: {text}", date.isoformat(), f"date {date}", is_building_block=date.year == 2000)


def draw_count(rng: Random) -> Example:
    """Many starts are below 200, where people try first. One count in four passes a number such as 505, whose words
    repeat: a model that looks up what followed «five» the last time goes wrong there, and needs more practice."""
    steps = rng.randint(1, LONGEST_COUNT - 1)
    if rng.random() < 0.25:
        first = max(rng.randint(1, 9) * 101 - rng.randint(0, steps), 0)
    else:
        first = rng.randrange(rng.choice((200, LAST_START + 1)))
    last = first + steps
    return Example(
        f"count: from {first} to {last}", count(first, last), f"count {first} {last}", is_building_block=first < 20
    )


# Counting has only 10,000 keys, so one in nine is held out: enough for a thousand examples never seen.
TASKS = {
    "spell": Task(draw_spell, held_out_one_in=20, share=4),
    "date": Task(draw_date, held_out_one_in=20, share=4),
    "count": Task(draw_count, held_out_one_in=9, share=4),
}


def is_held_out(task: Task, example: Example) -> bool:
    """Decided by the key alone, so it is the same on every machine and for every seed."""
    return not example.is_building_block and zlib.crc32(example.key.encode()) % task.held_out_one_in == 0


def training_example(rng: Random) -> Example:
    task = rng.choices(list(TASKS.values()), weights=[task.share for task in TASKS.values()])[0]
    while is_held_out(task, example := task.draw(rng)):
        pass
    return example


def held_out_examples(task: Task, how_many: int, seed: int) -> list[Example]:
    """Drawn as in training but only from what training never sees, each prompt once."""
    rng = Random(seed)
    found: dict[str, Example] = {}
    while len(found) < how_many:
        example = task.draw(rng)
        if is_held_out(task, example):
            found[example.prompt] = example
    return list(found.values())
