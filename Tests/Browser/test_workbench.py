"""The editor's help: completion, query plans, links, a history that says what was done."""

import re

import pytest
from playwright.sync_api import expect


def completions(page):
    return page.locator(".completion li bdi")


def test_words_are_completed_by_what_there_is(music, visitors):
    page = visitors.open(f"{music.url}/#/queries")
    expect(page.locator(".examples button")).not_to_have_count(0)  # the tables are known
    page.fill("#sql", "")
    page.locator("#sql").press_sequentially("SELECT * FROM gen")
    expect(completions(page)).to_have_text(["genre"])
    page.keyboard.press("Enter")
    expect(page.locator("#sql")).to_have_value("SELECT * FROM genre")
    page.locator("#sql").press_sequentially(" AS g WHERE g.")
    expect(completions(page)).to_have_text(["genre_id", "name"])
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    expect(page.locator("#sql")).to_have_value("SELECT * FROM genre AS g WHERE g.name")
    page.locator("#sql").press_sequentially(" LIKE 'na")
    expect(page.locator(".completion")).to_be_hidden()  # a text has no completions
    page.locator("#sql").press_sequentially("' ORD")
    expect(completions(page).first).to_have_text("ORDER")
    page.keyboard.press("Escape")
    expect(page.locator(".completion")).to_be_hidden()
    page.keyboard.press("Control+ ")
    expect(completions(page).first).to_have_text("ORDER")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".result-status")).not_to_be_empty()


def test_the_first_draft_is_not_replaced_behind_a_selection(music, visitors):
    page = visitors.open(f"{music.url}/#/queries")
    expect(page.locator("#sql")).to_have_value(re.compile(r"^SELECT \* FROM "))  # a draft of the largest table
    draft = "SELECT name, type FROM sqlite_schema ORDER BY name;"
    page.evaluate("draft => { const editor = document.getElementById('sql'); editor.value = draft; editor.select(); }", draft)
    music.shell("CREATE TABLE larger AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000) SELECT i FROM n")
    page.evaluate("location.hash = '#/tables'")
    expect(page.locator("#view-tables")).to_contain_text("larger")
    page.evaluate("location.hash = '#/queries'")
    expect(page.locator(".examples button").first).to_contain_text("larger")
    page.keyboard.type("SELECT 1")
    expect(page.locator("#sql")).to_have_value("SELECT 1")


def test_names_that_need_quotes_get_them(nasty, visitors):
    nasty.shell('CREATE TABLE "order of" ("group" INTEGER)')
    page = visitors.open(f"{nasty.url}/#/queries")
    expect(page.locator(".examples button")).not_to_have_count(0)
    page.fill("#sql", "")
    page.locator("#sql").press_sequentially("SELECT * FROM order o")
    page.fill("#sql", "")
    page.locator("#sql").press_sequentially("SELECT * FROM orde")
    page.keyboard.press("Tab")
    expect(page.locator("#sql")).to_have_value('SELECT * FROM "order of"')


def test_a_query_plan_is_a_tree(music, visitors):
    page = visitors.open(f"{music.url}/#/queries")
    page.fill("#sql", "SELECT * FROM album JOIN artist USING (artist_id) WHERE title LIKE ? ORDER BY length(title)")
    page.get_by_role("button", name="Explain").click()
    tree = page.get_by_role("tree")
    expect(tree.get_by_role("treeitem")).to_have_count(3)
    expect(tree.locator(".plan-scan")).to_have_text(re.compile("^SCAN"))
    expect(tree.locator(".plan-search")).to_have_text(re.compile("^SEARCH"))
    expect(tree.locator(".plan-sort")).to_have_text(re.compile("^USE TEMP B-TREE"))
    page.fill("#sql", "SELECT (SELECT nope FROM genre)")
    page.get_by_role("button", name="Explain").click()
    expect(page.locator(".result-status")).to_contain_text("no such column: nope — line 1, column 16")


def test_the_history_says_how_many_rows_were_changed(music, visitors):
    page = visitors.open(f"{music.url}/#/queries")
    page.fill("#sql", "UPDATE genre SET name = name || '!' WHERE genre_id < 4")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".history li").first).to_contain_text("3 rows changed")


@pytest.mark.parametrize("form", ["#/queries?q=", "#q="])
def test_a_link_brings_the_query(music, visitors, form):
    page = visitors.open(f"{music.url}/{form}SELECT+7+AS+%22a%26b%22")
    expect(page.locator("#sql")).to_have_value('SELECT 7 AS "a&b"')
    expect(page).to_have_url(f"{music.url}/#/queries")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=music.url)
    page.get_by_label("Live", exact=True).check()
    page.get_by_role("button", name="Copy a link").click()
    link = page.evaluate("navigator.clipboard.readText()")
    other = visitors.open(link)
    expect(other.locator("#sql")).to_have_value('SELECT 7 AS "a&b"')
    expect(other.get_by_label("Live", exact=True)).to_be_checked()
    expect(other.locator(".live-results")).to_be_hidden()  # nothing runs before who opened it says so
