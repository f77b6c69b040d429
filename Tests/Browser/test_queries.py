import csv
import io
import json
import re

import pytest
from playwright.sync_api import expect

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


def run(page, sql):
    page.fill("#sql", sql)
    page.focus("#sql")
    page.keyboard.press("Control+Enter")


@pytest.fixture
def page(music, visitors):
    return visitors.open(f"{music.url}/#/queries")


def status(page):
    return page.locator(".result-status")


def test_a_result_is_shown_and_remembered(page):
    run(page, "SELECT genre_id, name FROM genre ORDER BY 1; -- all of them")
    expect(status(page)).to_contain_text("10 rows")
    expect(page.locator(".result tbody td", has_text="Jazz")).to_be_visible()
    expect(page.locator(".colours .sql-keyword").first).to_have_text("SELECT")
    expect(page.locator(".colours .sql-comment")).to_have_text("-- all of them")
    page.reload()
    expect(page.locator("#sql")).to_have_value(re.compile("all of them"))
    expect(page.locator(".history .past").first).to_contain_text("10 rows")
    page.fill("#sql", "")
    page.locator(".history .past").first.click()
    expect(page.locator("#sql")).to_have_value(re.compile("SELECT genre_id"))


def test_only_what_is_selected_runs(page):
    page.fill("#sql", "SELECT 1 AS one;\nSELECT 2 AS two;")
    page.evaluate("document.getElementById('sql').setSelectionRange(17, 33)")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".result thead")).to_contain_text("two")


def test_a_script_shows_the_result_of_each_statement(page):
    run(page, "SELECT 'first' AS a; SELECT 'second' AS b")
    expect(page.locator(".result tbody")).to_contain_text(["first"])
    page.get_by_role("button", name="Statement 2").click()
    expect(page.locator(".result tbody", has_text="second")).to_be_visible()


def test_parameters_are_asked_for_and_lossless(page):
    page.fill("#sql", "SELECT typeof(:n) AS t, :n AS n, hex(:b) AS h, :text AS x, :nothing IS NULL AS z")
    fields = page.locator(".parameter")
    expect(fields).to_have_count(4)
    for name, kind, value in ((":n", "integer", "9223372036854775807"), (":b", "hex", "00 ff"), (":text", "text", "<b>&"), (":nothing", "null", "")):
        page.get_by_label(f"Type of {name}", exact=True).select_option(kind)
        if value:
            page.get_by_label(f"Value of {name}", exact=True).fill(value)
    page.get_by_role("button", name="Run").click()
    cells = page.locator(".result tbody:not(.spacer) td")
    expect(cells).to_have_text(["1", "integer", "9223372036854775807", "00FF", "<b>&", "1", ""])


def test_a_real_arrives_as_one_though_it_is_whole(page):
    page.fill("#sql", "SELECT typeof(?), ?1, typeof(?)")
    for name, kind in (("?1", "real"), ("?2", "integer")):
        page.get_by_label(f"Type of {name}", exact=True).select_option(kind)
        page.get_by_label(f"Value of {name}", exact=True).fill("3")
    page.get_by_role("button", name="Run").click()
    expect(page.locator(".result tbody:not(.spacer) td")).to_have_text(["1", "real", "3", "integer", ""])
    page.get_by_label("Value of ?2", exact=True).fill("3.5")
    page.get_by_role("button", name="Run").click()
    expect(status(page)).to_contain_text("?2: expected a whole number")


def test_a_selected_statement_gets_its_own_parameters(page):
    page.fill("#sql", "SELECT ? AS one, :name AS two;\nSELECT ? AS three, :name AS four;")
    for name, value in (("?1", "first"), (":name", "named"), ("?3", "third")):
        page.get_by_label(f"Value of {name}", exact=True).fill(value)
    page.focus("#sql")
    page.evaluate("document.getElementById('sql').setSelectionRange(31, 64)")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".result tbody:not(.spacer) td")).to_have_text(["1", "third", "named", ""])


def test_a_query_runs_again_after_its_result_was_scrolled(page):
    run(page, "SELECT * FROM invoice")
    expect(status(page)).to_contain_text("900 rows")
    page.locator(".results .virtual-scroller").focus()
    page.keyboard.press("End")
    expect(page.locator(".result tbody td", has_text=re.compile("^900$")).first).to_be_in_viewport()
    run(page, "SELECT nme")
    expect(page.locator(".sql-error")).to_have_text("nme")
    run(page, "SELECT * FROM genre")
    expect(status(page)).to_contain_text("10 rows")


def test_the_end_of_a_result_is_its_last_row_even_before_it_is_drawn(page):
    row = lambda number: page.locator(".result tbody td", has_text=re.compile(f"^{number}$")).first
    page.evaluate("""() => {
        const request = window.requestAnimationFrame.bind(window), held = [];
        window.requestAnimationFrame = (run) => held.push(run);
        window.drawAgain = () => {
            window.requestAnimationFrame = request;
            held.forEach(request);
        };
    }""")
    run(page, "SELECT * FROM invoice")
    expect(status(page)).to_contain_text("900 rows")
    page.locator(".results .virtual-scroller").focus()
    page.keyboard.press("End")
    page.evaluate("drawAgain()")
    expect(row(900)).to_be_in_viewport()
    page.keyboard.press("Home")
    expect(row(1)).to_be_in_viewport()


def test_an_error_is_shown_at_its_place(page):
    run(page, "SELECT 'ü' AS é,\n  nme\nFROM genre")
    expect(status(page)).to_contain_text("no such column: nme")
    expect(status(page)).to_contain_text("line 2, column 3")
    expect(page.locator(".sql-error")).to_have_text("nme")


def test_an_endless_query_shows_progress_and_is_cancelled(page):
    run(page, ENDLESS)
    expect(page.locator(".toolbar progress")).to_be_visible()
    expect(page.locator(".bar-text")).to_contain_text(re.compile(r"\d (ms|s)"))
    page.keyboard.press("Escape")
    expect(status(page)).to_contain_text("Cancelled")
    expect(page.get_by_role("button", name="Run")).to_be_enabled()


def test_a_transaction_that_idled_is_over_and_the_page_goes_on(page):
    run(page, "BEGIN; DELETE FROM invoice")
    expect(status(page)).to_contain_text("a transaction is open")
    expect(status(page)).to_contain_text("your transaction was idle")
    run(page, "SELECT count(*) FROM invoice")
    expect(page.locator(".result tbody td", has_text=re.compile("^900$"))).to_be_visible()


def test_a_cancelled_write_ends_its_transaction_and_the_page_goes_on(page):
    run(page, "BEGIN; DELETE FROM invoice")
    expect(status(page)).to_contain_text("a transaction is open")
    run(page, ENDLESS.replace("WITH", "CREATE TEMP TABLE big AS WITH"))
    expect(page.locator(".toolbar progress")).to_be_visible()
    page.keyboard.press("Escape")
    expect(status(page)).to_contain_text("Cancelled")
    run(page, "SELECT count(*) FROM invoice")
    expect(page.locator(".result tbody td", has_text=re.compile("^900$"))).to_be_visible()


def test_others_see_a_query_and_only_its_owner_can_cancel_it(music, visitors, page):
    other = visitors.open(f"{music.url}/#/queries", "Grace")
    run(page, ENDLESS)
    card = other.locator(".query-card").first
    expect(card).to_contain_text("Ada")
    expect(card).to_contain_text("WITH RECURSIVE")
    expect(card.locator("progress")).to_be_visible()
    expect(card).to_contain_text(re.compile(r"\d (ms|s)"))
    expect(card.get_by_role("button")).to_have_count(0)
    page.locator(".query-card").get_by_role("button", name="Cancel").click()
    expect(card).to_contain_text("cancelled")


def test_a_million_rows_stream_into_a_table_that_stays_quick(page):
    page.evaluate("window.longest = 0; new PerformanceObserver(list => { for (const entry of list.getEntries()) window.longest = Math.max(window.longest, entry.duration) }).observe({ entryTypes: ['longtask'] })")
    run(page, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000) SELECT i, 'row ' || i AS label FROM n")
    expect(page.locator(".result tbody", has_text="row 1")).to_be_visible()  # long before the end
    expect(status(page)).to_contain_text("1,000,000 rows", timeout=120_000)
    scroller = page.locator(".results .virtual-scroller")
    scroller.evaluate("element => { element.scrollTop = element.scrollHeight }")
    expect(page.locator(".result tbody td", has_text=re.compile("^row 1000000$"))).to_be_in_viewport()
    scroller.evaluate("element => { element.scrollTop -= 90 }")
    expect(page.locator(".result tbody td", has_text=re.compile("^row 999997$"))).to_be_in_viewport()
    assert page.locator(".result tr").count() < 100
    print(f"\na million rows: longest task {page.evaluate('window.longest'):.0f} ms")


def test_results_are_saved_as_csv_and_json(page):
    run(page, """SELECT 9223372036854775807 AS big, 'a,"b"' || char(10) AS text, NULL AS missing, '' AS empty, x'00ff' AS data, 0.5 AS real""")
    expect(status(page)).to_contain_text("1 row")
    with page.expect_download() as saving:
        page.get_by_role("button", name="CSV").click()
    text = open(saving.value.path(), newline="").read()
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["big", "text", "missing", "empty", "data", "real"], ["9223372036854775807", 'a,"b"\n', "", "", "00ff", "0.5"]]
    assert ',,"",' in text  # NULL and the empty text differ
    with page.expect_download() as saving:
        page.get_by_role("button", name="JSON").click()
    (row,) = json.loads(open(saving.value.path()).read())
    assert row == {"big": 2**63 - 1, "text": 'a,"b"\n', "missing": None, "empty": "", "data": {"$base64": "AP8="}, "real": 0.5}


def test_equal_column_names_are_all_in_the_json(page):
    run(page, 'SELECT 1 AS a, 2 AS a, 3 AS "a:1", 4 AS a')
    expect(status(page)).to_contain_text("1 row")
    with page.expect_download() as saving:
        page.get_by_role("button", name="JSON").click()
    assert json.loads(open(saving.value.path()).read()) == [{"a": 1, "a:2": 2, "a:1": 3, "a:3": 4}]


def test_what_was_typed_comes_back_after_a_click_on_the_history(page):
    run(page, "SELECT 1")
    expect(status(page)).to_contain_text("1 row")
    page.fill("#sql", "")
    page.focus("#sql")
    page.keyboard.type("SELECT 'mine'")
    page.locator(".history .past").first.click()
    expect(page.locator("#sql")).to_have_value("SELECT 1")
    page.keyboard.press("Control+z")
    expect(page.locator("#sql")).to_have_value("SELECT 'mine'")
    page.keyboard.press("End")
    page.keyboard.press("Tab")
    page.keyboard.type("x")
    expect(page.locator("#sql")).to_have_value("SELECT 'mine'  x")
    page.keyboard.press("Control+z")
    assert "SELECT 'mine'  ".startswith(page.input_value("#sql"))


def test_two_tabs_share_a_history(page):
    other = page.context.new_page()
    other.goto(page.url)
    expect(other.locator("#connection")).to_have_attribute("data-state", "open")
    run(page, "SELECT 'first'")
    expect(other.locator(".history .past").first).to_contain_text("SELECT 'first'")
    run(other, "SELECT 'second'")
    expect(page.locator(".history .past")).to_have_count(2)
    expect(page.locator(".history .past").first).to_contain_text("SELECT 'second'")


def test_an_error_far_down_and_far_right_is_brought_into_sight(page):
    run(page, "\n" * 60 + "SELECT " + "1, " * 100 + "nme")
    expect(page.locator(".sql-error")).to_have_text("nme")
    expect(page.locator(".sql-error")).to_be_in_viewport()
    mark, editor = page.locator(".sql-error").bounding_box(), page.locator("#sql").bounding_box()
    assert editor["y"] <= mark["y"] <= editor["y"] + editor["height"]
    assert editor["x"] <= mark["x"] <= editor["x"] + editor["width"]


def test_a_long_text_is_coloured_where_it_is_seen(page):
    sql = "\n".join(f"SELECT {number}, 'text {number}' FROM track; -- comment" for number in range(800))
    page.fill("#sql", sql)
    expect(page.locator(".colours .sql-comment").first).to_be_visible()
    assert page.locator(".colours span").count() < 1000
    page.locator("#sql").evaluate("area => { area.scrollTop = area.scrollHeight }")
    expect(page.locator(".colours .sql-string", has_text="text 799")).to_be_in_viewport()
    offset = page.locator(".colours").first.evaluate("pre => { const range = document.createRange(); range.selectNodeContents(pre); return range.getBoundingClientRect().bottom }")
    area = page.locator("#sql").bounding_box()
    assert abs(offset - (area["y"] + area["height"])) < 60


def test_a_caret_behind_a_tab_stands_where_its_owner_sees_it(music, visitors, page):
    other = visitors.open(f"{music.url}/#/queries", "Grace")
    for each in (page, other):
        each.fill("#sql", "\tx\tSELECT")
    other.evaluate("document.getElementById('sql').setSelectionRange(3, 3)")
    expect(page.locator(".caret")).to_have_attribute("style", re.compile("left: 8ch"))
