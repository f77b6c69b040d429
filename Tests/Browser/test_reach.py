"""Who uses the keyboard, a small screen, a large zoom, or no animations reaches everything."""

import re
import sqlite3

import pytest
from playwright.sync_api import expect

from conftest import serving
from test_queries import ENDLESS, run, status
from test_tables import row


def test_the_focus_stays_where_the_work_is(music, visitors):
    page = visitors.open(f"{music.url}/#/queries")
    page.fill("#sql", ENDLESS)
    page.get_by_role("button", name="Run").focus()
    page.keyboard.press("Enter")
    cancel = page.locator(".toolbar").get_by_role("button", name="Cancel")
    expect(cancel).to_be_focused()
    page.keyboard.press("Enter")
    expect(status(page)).to_contain_text("Cancelled")
    expect(page.get_by_role("button", name="Run")).to_be_focused()
    run(page, "SELECT 1 AS a; SELECT 2 AS b")
    second = page.get_by_role("button", name="Statement 2")
    second.focus()
    page.keyboard.press("Enter")
    expect(second).to_have_attribute("aria-pressed", "true")
    expect(second).to_be_focused()


def test_a_link_keeps_the_focus_while_its_person_moves(music, visitors):
    ada = visitors.open(f"{music.url}/#/people", "Ada")
    grace = visitors.open(f"{music.url}/#/queries", "Grace")
    grace.fill("#sql", "SELECT 1")
    link = ada.get_by_role("link", name="view text")
    link.focus()
    grace.fill("#sql", "SELECT 1,\n2")
    expect(ada.locator(".people li", has_text="Grace")).to_contain_text("line 2")
    expect(link).to_be_focused()


def test_a_cell_of_a_result_is_reached_and_opened_by_the_keyboard(music, visitors):
    page = visitors.open(f"{music.url}/#/queries")
    run(page, "SELECT genre_id, name || '!' AS name FROM genre ORDER BY 1")
    expect(status(page)).to_contain_text("10 rows")
    page.locator(".results .virtual-scroller").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    expect(page.get_by_role("dialog")).to_contain_text(re.compile(r"name.*Jazz!", re.S))
    page.keyboard.press("Escape")
    expect(page.locator(".results .virtual-scroller")).to_be_focused()


def test_keys_that_come_faster_than_frames_move_the_cursor_one_by_one(music, visitors):
    page = visitors.open(f"{music.url}/#/queries")
    run(page, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT 'row ' || i AS name FROM n")
    expect(status(page)).to_contain_text("1,000 rows")
    page.locator(".results .virtual-scroller").evaluate(
        """(element) => {
            const press = (key) => element.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
            for (let pressed = 0; pressed < 100; pressed += 1) press("ArrowDown");
            press("Enter");
        }"""
    )
    expect(page.get_by_role("dialog")).to_contain_text("row 100")


def test_single_keys_leave_buttons_alone_and_can_be_switched_off(music, visitors):
    page = visitors.open(music.url)
    page.get_by_role("button", name="Theme").focus()
    page.keyboard.press("2")
    expect(page.locator("#view-tables")).to_be_visible()
    page.locator("#help").click()
    page.get_by_label("Single-character shortcuts").uncheck()
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("2")
    page.keyboard.press("?")
    expect(page.locator("dialog")).to_have_count(0)
    expect(page.locator("#view-tables")).to_be_visible()


def test_the_title_says_where_one_is(music, visitors):
    page = visitors.open(f"{music.url}/#/tables/genre/rows")
    expect(page).to_have_title("genre · music.db · Tablecast")
    page.keyboard.press("2")
    expect(page).to_have_title("Queries · music.db · Tablecast")


def test_marks_are_seen_without_animations(music, visitors):
    page = visitors.open(f"{music.url}/#/tables/genre/rows", reduced_motion="reduce")
    expect(row(page, "Jazz")).to_be_visible()
    music.shell("INSERT INTO genre VALUES (77, 'Skronk'); UPDATE genre SET name = 'Folk!' WHERE genre_id = 1")
    added = row(page, "77", "Skronk")
    expect(added).to_have_class(re.compile("inserted"))
    colour = "cell => getComputedStyle(cell).backgroundColor"
    plain = row(page, "Jazz").locator("td").first.evaluate(colour)
    assert added.locator("td").first.evaluate(colour) != plain
    assert page.get_by_role("gridcell", name="Folk!", exact=True).evaluate(colour) != plain


@pytest.mark.parametrize("width, height", [(640, 400), (844, 390), (320, 640)])
def test_rows_have_room_on_small_screens(music, visitors, width, height):
    others = [visitors.open(music.url, name) for name in ("Bo B", "Cy C", "Di D", "Ed E")]
    page = visitors.open(f"{music.url}/#/tables/track/rows", viewport={"width": width, "height": height})
    expect(page.locator(".rows tbody tr").first).to_be_visible()
    expect(page.locator("#initials")).to_be_visible()
    room = page.locator(".table-view .scroller").first.evaluate("element => element.clientHeight")
    assert room >= 150, room
    for route in ("#/tables/track/rows", "#/tables", "#/queries", "#/feed", "#/people"):
        page.evaluate("route => { location.hash = route }", route)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, route
        for name in ("Theme", "Connection"):
            box = page.get_by_role("button", name=name, exact=True).bounding_box()
            assert box["width"] >= 24 and box["x"] + box["width"] <= width, (route, name, box)
    assert len(others) == 4


@pytest.mark.parametrize("route", ["queries", "feed", "people", "tables/genre/rows", "tables/genre/schema"])
def test_a_slash_finds_a_table_from_every_view(music, visitors, route):
    page = visitors.open(f"{music.url}/#/{route}")
    expect(page.locator(f"#view-{route.split('/')[0]}")).to_be_visible()
    expect(page.locator("#database")).to_have_text("music.db")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("/")
    page.keyboard.type("inv")  # at once: the first letter belongs to the box already
    search = page.get_by_label("Find a table")
    expect(search).to_be_focused()
    expect(search).to_have_value("inv")


def test_the_keyboard_leads_from_the_find_box_to_a_table(music, visitors):
    page = visitors.open(music.url)
    expect(page.locator(".tables li")).not_to_have_count(0)
    page.keyboard.press("/")
    page.keyboard.type("invoice")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".tables li a").nth(1)).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(page.get_by_label("Find a table")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".table-view h1")).to_have_text("invoice")


@pytest.mark.parametrize("width, height", [(1280, 800), (390, 844)])
def test_an_empty_database_says_so_where_it_is_seen(tmp_path, visitors, width, height):
    sqlite3.connect(tmp_path / "empty.db").execute("VACUUM")
    with serving(tmp_path / "empty.db") as server:
        page = visitors.open(server.url, viewport={"width": width, "height": height})
        hint = page.get_by_text("The database has no tables yet").locator("visible=true").first
        expect(hint).to_be_in_viewport(ratio=1)
        bottom = hint.evaluate("element => element.getBoundingClientRect().bottom")
        assert bottom < height - (60 if width < 720 else 0)  # not behind the navigation
