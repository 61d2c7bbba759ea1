"""Every failure we name has a place in the tree and a status on the wire."""

import inspect
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from fastapi import FastAPI
from sqlalchemy import create_engine
from starlette.testclient import TestClient

from api.errors import STATUS, install
from shared import errors
from shared.errors import OutboundError, OutOfSpace, PinionError, RequestError, SettingsError, Unavailable


def below(kind: type[PinionError]) -> Iterator[type[PinionError]]:
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from below(child)


def status(kind: type[PinionError]) -> int:
    return next((STATUS[ancestor] for ancestor in kind.__mro__ if ancestor in STATUS), 500)


@pytest.mark.parametrize("kind", [*below(RequestError)])
def test_what_the_caller_can_change_is_a_status_of_the_four_hundreds(kind: type[PinionError]) -> None:
    assert 400 <= status(kind) < 500


@pytest.mark.parametrize("kind", [Unavailable, *below(Unavailable)])
def test_what_is_ours_to_repair_can_be_tried_again(kind: type[PinionError]) -> None:
    assert status(kind) == (507 if kind is OutOfSpace else 503)


@pytest.mark.parametrize("kind", [SettingsError, OutboundError, *below(OutboundError)])
def test_what_no_caller_should_ever_meet_is_an_internal_error(kind: type[PinionError]) -> None:
    assert status(kind) == 500


def test_the_table_names_classes_of_the_tree_only() -> None:
    assert set(STATUS) <= {PinionError, *below(PinionError)}


@pytest.mark.parametrize("kind", [PinionError, *below(PinionError)])
def test_every_class_stands_in_the_drawing_and_says_what_it_means(kind: type[PinionError]) -> None:
    assert kind.__name__ in inspect.getdoc(errors).split()
    assert kind.__doc__


def test_the_drawing_shows_nothing_that_is_not_there() -> None:
    drawn = {line.partition("── ")[2].split()[0] for line in inspect.getdoc(errors).splitlines() if "── " in line}
    assert drawn == {kind.__name__ for kind in below(PinionError)}


def fill_a_file() -> None:
    with open("/dev/full", "w") as file:
        file.write("no room")


def fill_a_database() -> None:
    with closing(sqlite3.connect(":memory:")) as driver:
        engine = create_engine("sqlite://", creator=lambda: driver)
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 2")
            connection.exec_driver_sql("CREATE TABLE full (x)")
            connection.exec_driver_sql("INSERT INTO full VALUES (zeroblob(100000))")


@pytest.mark.parametrize("fill", [fill_a_file, fill_a_database])
def test_a_full_disk_is_told_as_what_it_is(fill: Callable[[], None]) -> None:
    app = FastAPI()
    install(app)
    app.get("/")(fill)
    answer = TestClient(app, raise_server_exceptions=False).get("/")
    assert (answer.status_code, answer.headers["content-type"]) == (507, "application/problem+json")
    assert "no room" in answer.json()["detail"]
