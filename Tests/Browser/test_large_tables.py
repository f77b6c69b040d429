"""What is too large to hold in the page, or is no table: read page by page, and live all the same."""

import re

import pytest
from playwright.sync_api import expect

from conftest import writing
from test_tables import item, row

BIG = """CREATE TABLE big (i INTEGER PRIMARY KEY, label TEXT, side INT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000) INSERT INTO big SELECT i, 'row ' || i, i % 7 FROM n"""


@pytest.fixture
def big(music):
    music.shell(BIG)
    return music


def title(page):
    return page.locator(".table-view .title > .quiet")


def test_the_number_of_rows_follows_what_is_written(big, visitors):
    page = visitors.open(f"{big.url}/#/tables/big/rows")
    expect(title(page)).to_have_text("30,000 rows")
    big.shell("WITH RECURSIVE n(i) AS (SELECT 30001 UNION ALL SELECT i + 1 FROM n WHERE i < 30500) INSERT INTO big SELECT i, 'more', 0 FROM n")
    expect(title(page)).to_have_text("30,500 rows")
    expect(page.locator(".pager > .quiet")).to_have_text("1–100 of 30,500")
    big.shell("DELETE FROM big WHERE i > 100 AND i <= 20000")
    expect(title(page)).to_have_text("10,600 rows")
    expect(item(page, "big").locator(".count")).to_have_attribute("title", "10,600 rows")


def test_an_estimate_gives_way_to_a_count(big, visitors):
    big.shell("DELETE FROM big WHERE i % 30 = 0")
    for _ in range(2):
        page = visitors.open(f"{big.url}/#/tables/big/rows")
        expect(title(page)).to_have_text("29,000 rows")
        expect(item(page, "big").locator(".count")).to_have_attribute("title", "29,000 rows")
        expect(page.locator(".pages")).to_have_text("of 290")


def test_the_order_stays_when_the_columns_change(big, visitors):
    page = visitors.open(f"{big.url}/#/tables/big/rows")
    header = page.get_by_role("columnheader", name=re.compile("^side"))
    header.get_by_role("button").dblclick()
    expect(header).to_have_attribute("aria-sort", "descending")
    big.shell("ALTER TABLE big DROP COLUMN label")
    expect(page.get_by_role("columnheader")).to_have_count(3)
    expect(header).to_have_attribute("aria-sort", "descending")
    big.shell("ALTER TABLE big DROP COLUMN side")
    expect(page.get_by_role("columnheader")).to_have_count(2)
    expect(row(page, "1")).to_be_visible()


def test_the_order_stays_when_rows_come_before_the_schema_they_have(big, visitors):
    page = visitors.open(f"{big.url}/#/tables/big/rows")
    header = page.get_by_role("columnheader", name=re.compile("^side"))
    header.get_by_role("button").dblclick()
    expect(header).to_have_attribute("aria-sort", "descending")
    held = []
    page.route("**/tables/big", lambda route: held.append(route))
    big.shell("ALTER TABLE big DROP COLUMN label")
    expect(page.get_by_role("columnheader")).to_have_count(3)
    expect(header).to_have_attribute("aria-sort", "descending")
    for route in held:
        route.continue_()
    expect(header).to_have_class("numeric")  # by its type, which is in the schema
    expect(header).to_have_attribute("aria-sort", "descending")


def test_changes_are_marked_and_listed_with_their_author(big, visitors):
    page = visitors.open(f"{big.url}/#/tables/big/rows")
    expect(row(page, "row 3")).to_be_visible()
    big.shell("UPDATE big SET label = 'changed' WHERE i = 2; DELETE FROM big WHERE i = 3; INSERT INTO big VALUES (0, 'new', 0)")
    expect(page.get_by_role("gridcell", name="changed", exact=True)).to_have_class(re.compile("updated"))
    expect(row(page, "changed").locator(".gutter")).to_have_text("~ external")
    expect(row(page, "row 3")).to_have_class(re.compile("deleted"))
    expect(row(page, "0", "new")).to_have_class(re.compile("inserted"))
    expect(page.locator(".changes li.update")).to_contain_text("another process updated 2")
    expect(row(page, "row 3")).to_have_count(0)  # once its mark has faded
    expect(row(page, "changed").locator(".gutter")).to_have_text("3")


def test_rows_without_a_primary_key_are_marked_too(music, visitors):
    music.shell("CREATE TABLE loose AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000) SELECT 'row ' || i AS label, 'a' AS rowid FROM n")
    page = visitors.open(f"{music.url}/#/tables/loose/rows")
    expect(row(page, "row 2")).to_be_visible()
    music.shell("UPDATE loose SET label = 'changed' WHERE _rowid_ = 2")
    expect(page.get_by_role("gridcell", name="changed", exact=True)).to_have_class(re.compile("updated"))
    expect(page.locator(".rows thead th")).to_have_count(3)


def test_a_view_says_why_it_lists_no_changes(music, visitors):
    page = visitors.open(f"{music.url}/#/tables/best_sellers/rows")
    expect(title(page)).to_contain_text("a view, read again whenever a table changes")
    expect(page.locator(".table-view .panel")).to_be_hidden()
    page.evaluate("location.hash = '#/tables/genre/rows'")
    expect(page.locator(".table-view .panel")).to_be_visible()


def test_a_slow_view_appears_during_writes(music, visitors):
    music.shell("CREATE VIEW slow AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500000) SELECT count(*) AS rows, (SELECT name FROM genre WHERE genre_id = 2) AS name FROM n")
    with writing(music.database, "UPDATE genre SET name = 'now ' || ? WHERE genre_id = 2"):
        page = visitors.open(f"{music.url}/#/tables/slow/rows")
        expect(row(page, "1500000")).to_be_visible()
        first = page.locator(".rows tbody td").nth(1).inner_text()
        expect(page.locator(".rows tbody td").nth(1)).not_to_have_text(first)
    page.close()


def test_a_cursor_is_shown_on_its_row_however_the_others_sort(big, visitors):
    ada = visitors.open(f"{big.url}/#/tables/big/rows", "Ada")
    grace = visitors.open(f"{big.url}/#/tables/big/rows", "Grace")
    ada.get_by_role("columnheader", name=re.compile("^label")).get_by_role("button").dblclick()
    expect(row(ada, "row 9999")).to_be_visible()
    big.shell("UPDATE big SET label = 'zz' WHERE i = 5")
    ada.get_by_role("gridcell", name="zz", exact=True).click()
    expect(grace.get_by_role("gridcell", name="zz", exact=True)).to_have_attribute("data-cursor", "Ada")
    expect(grace.locator("td[data-cursor]")).to_have_count(1)
    ada.evaluate("location.hash = '#/people'")
    expect(grace.locator("td[data-cursor]")).to_have_count(0)


def test_sorting_and_refreshing_keep_the_focus(big, visitors):
    page = visitors.open(f"{big.url}/#/tables/big/rows")
    expect(row(page, "row 3")).to_be_visible()
    page.get_by_role("columnheader", name=re.compile("^label")).get_by_role("button").focus()
    page.keyboard.press("Enter")
    expect(row(page, "row 10000")).to_be_visible()
    expect(page.get_by_role("columnheader", name=re.compile("^label")).get_by_role("button")).to_be_focused()
    page.get_by_role("gridcell", name="row 10000", exact=True).click()
    big.shell("UPDATE big SET label = 'row 1!' WHERE i = 1")
    expect(row(page, "row 1!")).to_be_visible()
    assert page.evaluate("document.activeElement.tagName") == "TD"


def test_a_page_is_reached_by_its_number(big, visitors):
    page = visitors.open(f"{big.url}/#/tables/big/rows")
    expect(page.locator(".pages")).to_have_text("of 300")
    page.get_by_label("Page", exact=True).fill("300")
    page.keyboard.press("Enter")
    expect(row(page, "row 30000")).to_be_visible()
    number = page.get_by_label("Page", exact=True)
    expect(number).to_have_value("300")  # where it is, while the number is in focus
    page.get_by_role("button", name="Previous page").click()
    expect(number).to_have_value("299")
    number.fill("300")  # the same page again
    page.keyboard.press("Enter")
    expect(row(page, "row 30000")).to_be_visible()
    expect(number).to_have_value("300")
    number.fill("nonsense")
    page.keyboard.press("Enter")
    expect(number).to_have_value("300")
    next_page = page.get_by_role("button", name="Next page")
    next_page.focus()
    page.keyboard.press("Enter")
    expect(next_page).to_be_focused()
    expect(page.locator(".pager > .quiet")).to_have_text("29,901–30,000 of 30,000")


def test_a_table_that_grows_is_held_no_longer(music, visitors):
    music.shell("CREATE TABLE growing (i INTEGER PRIMARY KEY, label TEXT)")
    page = visitors.open(f"{music.url}/#/tables/growing/rows")
    expect(page.locator(".pager")).to_contain_text("No rows")
    for start in range(1, 30_001, 300):
        music.shell(f"WITH RECURSIVE n(i) AS (SELECT {start} UNION ALL SELECT i + 1 FROM n WHERE i < {start + 299}) INSERT INTO growing SELECT i, 'row ' || i FROM n")
    expect(title(page)).to_have_text("30,000 rows")
    page.evaluate(
        """async () => {
            const { connect } = await import('/tablecast.js');
            const started = [];
            connect('/ws').subscribe('queries').on('message', ({ type, data }) => type === 'query:started' && started.push(data.sql));
            window.started = started;
        }"""
    )
    music.shell("UPDATE growing SET label = 'changed' WHERE i = 1")
    expect(page.get_by_role("gridcell", name="changed", exact=True)).to_have_class(re.compile("updated"))
    page.wait_for_function("() => window.started.some(sql => /SELECT rowid.*growing.*LIMIT/.test(sql))")


def test_too_many_changes_to_list_are_one_line(music, visitors):
    music.shell("CREATE TABLE wide (i INTEGER PRIMARY KEY, label TEXT); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25000) INSERT INTO wide SELECT i, 'row ' || i || printf('%.*c', 3000, ' ') FROM n")
    page = visitors.open(f"{music.url}/#/tables/wide/rows")
    expect(title(page)).to_have_text("25,000 rows")
    music.shell("DELETE FROM wide WHERE i > 50")
    expect(page.locator(".changes li").first).to_contain_text("another process deleted 24,950 rows at once")
    expect(title(page)).to_have_text("50 rows")
    expect(page.locator(".rows tbody tr")).to_have_count(50)
