"""A result that is followed on the page: rows change in place, what came and went is seen, and how far behind it is."""

import re

import pytest
from playwright.sync_api import expect

from conftest import longest_computation, write_at

BY_GENRE = "SELECT genre_id, name, count(*) AS tracks FROM genre JOIN track USING (genre_id) GROUP BY genre_id"


@pytest.fixture
def page(music, visitors):
    music.shell("PRAGMA journal_mode = WAL")
    return visitors.open(f"{music.url}/#/queries")


def status(page):
    return page.locator(".live-status")


def row(page, text):
    return page.locator(".live tbody:not(.spacer) tr", has_text=text)


def follow(page, sql):
    page.fill("#sql", sql)
    page.get_by_label("Live", exact=True).check()


def test_a_result_is_followed_once_live_is_ticked(music, page):
    page.fill("#sql", BY_GENRE)
    page.focus("#sql")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".result-status")).to_contain_text("10 rows")
    page.get_by_label("Live", exact=True).check()
    expect(status(page)).to_have_text("10 rows · live")
    expect(page.locator(".live-figures")).to_contain_text("incremental")
    music.shell("UPDATE genre SET name = 'Folk music' WHERE genre_id = 1; DELETE FROM track WHERE genre_id = 2; UPDATE track SET genre_id = 3 WHERE genre_id = 4")
    expect(row(page, "Folk music").locator(".changed-cell")).to_have_text("Folk music")
    expect(row(page, "Jazz")).to_have_class("left")
    expect(row(page, "Electronic").locator(".changed-cell")).to_have_text(re.compile(r"^\d+$"))
    expect(status(page)).to_have_text("8 rows · live")
    music.shell("INSERT INTO genre VALUES (77, 'Skronk'); UPDATE track SET genre_id = 77 WHERE track_id IN (SELECT track_id FROM track WHERE genre_id = 3 LIMIT 2)")
    expect(row(page, "Skronk")).to_have_class("entered")
    expect(page.locator(".live-figures")).to_contain_text(re.compile(r"position [1-9].*lag <?\d+ ms"))
    expect(row(page, "Jazz")).to_have_count(0)  # its mark has faded, and it is gone
    expect(page.locator(".history .past").first).to_contain_text("live, 10 rows")
    page.get_by_label("Live", exact=True).uncheck()
    expect(status(page)).to_contain_text("stopped")


def test_two_tabs_follow_one_query_and_each_sees_the_other_one_write(music, visitors, page):
    other = visitors.open(f"{music.url}/#/queries", "Grace")
    for each in (page, other):
        follow(each, "SELECT name FROM genre ORDER BY name LIMIT 3")
        expect(status(each)).to_have_text("3 rows · live")
        expect(each.locator(".live-figures")).to_contain_text("runs again")
    third = visitors.open(f"{music.url}/#/queries", "Alan")
    third.fill("#sql", "INSERT INTO genre (name) VALUES ('Aardvark')")
    third.get_by_role("button", name="Run").click()
    for each in (page, other):
        expect(each.locator(".live tbody:not(.spacer) tr").first).to_contain_text("Aardvark")
        expect(row(each, "Chanson")).to_have_class("left")


def test_what_cannot_be_followed_says_why_and_where(music, page):
    follow(page, "SELECT nme FROM genre")
    expect(page.locator(".sql-error")).to_have_text("nme")
    expect(page.get_by_label("Live", exact=True)).to_be_checked()  # it can be mended
    page.fill("#sql", "SELECT random()")
    page.get_by_role("button", name="Run").click()
    expect(page.locator(".result-status")).to_contain_text("random()")
    expect(page.get_by_label("Live", exact=True)).not_to_be_checked()
    music.shell("CREATE TABLE gone (x)")
    follow(page, "SELECT * FROM gone")
    expect(status(page)).to_have_text("0 rows · live")
    music.shell("DROP TABLE gone")
    expect(status(page)).to_have_attribute("data-kind", "error")
    expect(page.get_by_label("Live", exact=True)).not_to_be_checked()


def test_a_live_result_goes_on_after_a_lost_connection(music, relay, visitors):
    music.shell("PRAGMA journal_mode = WAL")
    page = visitors.open(f"{relay.url}/#/queries")
    follow(page, "SELECT * FROM genre")
    expect(status(page)).to_have_text("10 rows · live")
    relay.cut()
    expect(status(page)).to_contain_text("not connected")
    music.shell("DELETE FROM genre WHERE name = 'Brass'; INSERT INTO genre VALUES (78, 'Meanwhile')")
    relay.mend()
    expect(row(page, "Meanwhile")).to_have_class("entered")
    expect(row(page, "Brass")).to_have_class("left")
    expect(status(page)).to_have_text("10 rows · live")


def test_who_reads_further_down_goes_on_reading_the_same_rows(music, page):
    follow(page, "SELECT invoice_id FROM invoice ORDER BY invoice_id DESC")
    expect(status(page)).to_have_text("900 rows · live")
    page.locator(".live-results .virtual-scroller").evaluate("element => { element.scrollTop = 300 * 30 }")
    line = page.locator(".live tbody td", has_text=re.compile("^600$")).first
    expect(line).to_be_in_viewport()
    top = line.bounding_box()["y"]
    music.shell("DELETE FROM invoice_line WHERE invoice_id > 850; DELETE FROM invoice WHERE invoice_id > 850")
    expect(status(page)).to_have_text("850 rows · live")
    where = "top => Math.abs([...document.querySelectorAll('.live tbody td')].find((cell) => cell.textContent === '600').getBoundingClientRect().top - top) < 31"
    page.wait_for_function("() => document.querySelector('.live').getAttribute('aria-rowcount') === '851'")  # those that left have faded
    page.wait_for_function(where, arg=top)


def test_a_chart_shows_the_numbers_and_moves_with_them(music, page):
    follow(page, BY_GENRE)
    expect(status(page)).to_have_text("10 rows · live")
    page.get_by_label("Chart", exact=True).select_option("bars")
    chart = page.locator(".chart svg")
    expect(chart).to_have_attribute("aria-label", "Bars: tracks by name")
    expect(chart.locator("rect")).to_have_count(10)
    music.shell("UPDATE track SET genre_id = 3 WHERE genre_id = 4")
    expect(chart.locator("rect")).to_have_count(9)
    page.get_by_label("Chart", exact=True).select_option("line")
    expect(chart.locator("path")).to_have_count(1)


def test_a_result_of_ten_thousand_rows_at_a_thousand_changes_a_second_leaves_the_page_quick(music, page):
    music.shell("CREATE TABLE big (id INTEGER PRIMARY KEY, v INT, label TEXT); INSERT INTO big SELECT value, 0, 'row ' || value FROM generate_series(1, 10000)")
    follow(page, "SELECT id, v, label FROM big")
    expect(status(page)).to_have_text("10,000 rows · live")
    page.evaluate("window.tasks = []; new PerformanceObserver(list => window.tasks.push(...list.getEntries().map(entry => entry.duration))).observe({ entryTypes: ['longtask'] })")
    page.context.browser.start_tracing(page=page, categories=["toplevel", "disabled-by-default-devtools.timeline"])
    # Rows change, come and go.
    rate = write_at(music.database, "INSERT OR REPLACE INTO big SELECT value % 40 + value / 7, value, 'changed' FROM (SELECT ? AS value)", 1_000, 4)
    page.wait_for_function("() => !/behind/.test(document.querySelector('.live-figures').textContent)")
    longest = max(page.evaluate("window.tasks"), default=0)
    computed = longest_computation(page.context.browser.stop_tracing())
    print(f"\n10,000 rows, {rate:.0f} changes/s: longest task {longest:.0f} ms, {computed:.0f} ms of it computing")
    assert computed < 50
