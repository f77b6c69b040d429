"""Editing of rows in place: rights, conflicts with changes of other users, undo."""

import re
import sqlite3

from playwright.sync_api import expect

from conftest import READER
from test_tables import row


def cell(page, name, text):
    """The cell of a column in the row that has this text in some cell."""
    expect(page.locator(".rows thead .sort .name").get_by_text(name, exact=True)).to_be_visible()
    place = page.locator(".rows thead tr").first.locator("th").evaluate_all("(cells, name) => cells.findIndex((cell) => cell.querySelector('.name')?.textContent === name)", name)
    return row(page, text).locator("th, td").nth(place)


def edit(page, name, text):
    target = cell(page, name, text)
    target.click()
    page.keyboard.press("F2")
    return page.locator(".cell-editor input")


def rows_of(server, sql):
    return sqlite3.connect(server.database).execute(sql).fetchall()


def test_a_cell_is_edited_and_undone(music, visitors):
    page = visitors.open(f"{music.url}/#/tables/genre/rows")
    edit(page, "name", "Folk").fill("Folk & more")
    page.keyboard.press("Enter")
    expect(cell(page, "genre_id", "Folk & more")).to_have_text("1")
    expect(row(page, "Folk & more").locator(".gutter")).to_contain_text("~")
    assert rows_of(music, "SELECT name FROM genre WHERE genre_id = 1") == [("Folk & more",)]
    page.get_by_role("button", name="Undo").click()
    expect(cell(page, "genre_id", "Folk")).to_have_text("1")
    assert rows_of(music, "SELECT name FROM genre WHERE genre_id = 1") == [("Folk",)]
    edit(page, "name", "Folk").fill("x")
    page.keyboard.press("Escape")
    expect(page.locator(".cell-editor")).to_have_count(0)
    expect(cell(page, "name", "1")).to_be_focused()
    assert rows_of(music, "SELECT name FROM genre WHERE genre_id = 1") == [("Folk",)]


def test_null_and_an_empty_text_are_two_things_and_numbers_stay_numbers(music, visitors):
    music.shell("CREATE TABLE v(id INTEGER PRIMARY KEY, t TEXT, n NUMERIC, a); INSERT INTO v VALUES (7, 'x', 1, 1)")
    page = visitors.open(f"{music.url}/#/tables/v/rows")
    edit(page, "t", "7").fill("")
    page.keyboard.press("Enter")
    expect(cell(page, "t", "7")).to_have_text("")
    assert rows_of(music, "SELECT t FROM v") == [("",)]
    edit(page, "t", "7")
    page.get_by_role("button", name="NULL", exact=True).click()
    page.keyboard.press("Enter")
    expect(cell(page, "t", "7")).to_have_text("NULL")
    for column, text in (("n", "9007199254740993"), ("a", "2.5")):
        edit(page, column, "7").fill(text)
        page.keyboard.press("Enter")
        expect(cell(page, column, "7")).to_have_text(text)
    assert rows_of(music, "SELECT t, n, a, typeof(a) FROM v") == [(None, 9007199254740993, 2.5, "real")]
    edit(page, "t", "7").fill("NULL")
    page.keyboard.press("Enter")
    expect(cell(page, "t", "7")).to_have_class(re.compile(r"\btext\b"))
    assert rows_of(music, "SELECT t FROM v") == [("NULL",)]


def test_what_another_has_changed_is_shown_and_not_overwritten(music, visitors):
    page = visitors.open(f"{music.url}/#/tables/genre/rows")
    edit(page, "name", "Folk").fill("mine")
    music.shell("UPDATE genre SET name = 'theirs' WHERE genre_id = 1")
    expect(cell(page, "name", "1")).to_have_text("theirs")  # below the field
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Changed meanwhile")
    expect(dialog.locator("tbody tr")).to_have_text([re.compile("name.*Folk.*theirs.*mine")])
    assert rows_of(music, "SELECT name FROM genre WHERE genre_id = 1") == [("theirs",)]
    dialog.get_by_role("button", name="Keep it as it is").click()
    edit(page, "name", "1").fill("mine")
    music.shell("UPDATE genre SET name = 'again' WHERE genre_id = 1")
    expect(cell(page, "name", "1")).to_have_text("again")
    page.keyboard.press("Enter")
    dialog.get_by_role("button", name="Overwrite").click()
    expect(cell(page, "name", "1")).to_have_text("mine")
    music.shell("UPDATE genre SET name = 'later' WHERE genre_id = 1")
    expect(cell(page, "name", "1")).to_have_text("later")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".toasts")).to_contain_text("Not undone")
    assert rows_of(music, "SELECT name FROM genre WHERE genre_id = 1") == [("later",)]


def test_rows_are_added_and_deleted(music, visitors):
    music.shell("CREATE TABLE d(id INTEGER PRIMARY KEY, t TEXT NOT NULL, n DEFAULT 5, twice AS (n * 2)); CREATE TABLE w(k TEXT PRIMARY KEY, v) WITHOUT ROWID")
    page = visitors.open(f"{music.url}/#/tables/d/rows")
    page.get_by_role("button", name="Row", exact=True).click()
    dialog = page.get_by_role("dialog", name="New row of d")
    expect(dialog.get_by_label("twice")).to_have_count(0)
    dialog.get_by_role("button", name="Add").click()
    expect(dialog.get_by_role("alert")).to_contain_text("NOT NULL constraint failed")
    dialog.get_by_label("t text").fill("hello")
    dialog.get_by_role("button", name="Add").click()
    expect(row(page, "1", "hello", "5", "10")).to_be_visible()
    cell(page, "t", "hello").click()
    page.keyboard.press("Delete")
    expect(row(page, "hello")).to_have_class(re.compile("deleted"))
    page.get_by_role("button", name="Undo").click()  # the deletion
    there = row(page, "hello").and_(page.locator("tr:not(.deleted)"))
    expect(there).to_have_count(1)
    assert rows_of(music, "SELECT id, t FROM d") == [(1, "hello")]
    page.get_by_role("button", name="Undo").click()  # and the new row itself
    expect(there).to_have_count(0)
    page.goto(f"{music.url}/#/tables/w/rows")
    expect(page.locator(".table-view h1")).to_have_text("w")
    page.get_by_role("button", name="Row", exact=True).click()
    page.get_by_role("dialog").get_by_label("k text").fill("a")
    page.get_by_role("dialog").get_by_role("button", name="Add").click()
    edit(page, "k", "a").fill("b")
    page.keyboard.press("Enter")
    expect(row(page, "b")).to_be_visible()
    assert rows_of(music, "SELECT k FROM w") == [("b",)]


def test_rows_that_only_a_rowid_identifies_are_edited(music, visitors):
    music.shell("CREATE TABLE k(k TEXT PRIMARY KEY, v); INSERT INTO k VALUES (NULL, 'a'), (NULL, 'b'); CREATE TABLE p(v); INSERT INTO p VALUES ('one'), ('two')")
    for table, text in (("k", "b"), ("p", "two")):
        page = visitors.open(f"{music.url}/#/tables/{table}/rows")
        edit(page, "v", text).fill("edited")
        page.keyboard.press("Enter")
        expect(row(page, "edited")).to_be_visible()
        assert rows_of(music, f"SELECT v FROM {table} WHERE rowid = 2") == [("edited",)]
        assert rows_of(music, f"SELECT count(*) FROM {table} WHERE v = 'edited'") == [(1,)]


def test_long_texts_and_bytes_have_a_dialog(music, visitors, tmp_path):
    music.shell("CREATE TABLE b(id INTEGER PRIMARY KEY, v); INSERT INTO b VALUES (7, x'00ff')")
    page = visitors.open(f"{music.url}/#/tables/b/rows")
    (tmp_path / "bytes").write_bytes(b"\x01\x02\x03")
    cell(page, "v", "7").dblclick()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Edit").click()
    dialog.get_by_label("Bytes from a file").set_input_files(tmp_path / "bytes")
    dialog.get_by_role("button", name="Save").click()
    expect(cell(page, "v", "7")).to_contain_text("x'010203'")
    assert rows_of(music, "SELECT v FROM b") == [(b"\x01\x02\x03",)]


def test_who_may_not_write_is_not_offered_to(guarded, visitors):
    page = visitors.open(f"{guarded.url}/#access_token={READER}")
    page.goto(f"{guarded.url}/#/tables/genre/rows")
    expect(row(page, "1", "Folk")).to_be_visible()
    expect(page.locator(".edit-tools")).to_be_hidden()
    cell(page, "name", "Folk").dblclick()
    expect(page.get_by_role("dialog", name="Value of name")).to_be_visible()
    expect(page.get_by_role("button", name="Edit", exact=True)).to_have_count(0)


def test_a_view_is_not_edited(music, visitors):
    page = visitors.open(f"{music.url}/#/tables/best_sellers/rows")
    expect(page.locator(".table-view .title")).to_contain_text("a view")
    expect(page.locator(".edit-tools")).to_be_hidden()
