import json

import pytest
from playwright.sync_api import expect


def messages(page):
    return page.locator(".messages tbody:not(.spacer) tr")


def detail(page):
    return json.loads(page.locator(".message-detail pre").inner_text())


@pytest.fixture
def page(music, visitors):
    page = visitors.open(f"{music.url}/#/feed")
    page.get_by_label("Channel").select_option("tables")
    expect(messages(page)).to_contain_text(["subscribed"])  # that one alone
    return page


def write(server, table, count):
    column = {"genre": "genre_id", "artist": "artist_id"}[table]
    server.shell("".join(f"UPDATE {table} SET name = name || '{each}' WHERE {column} = 1;" for each in range(count)))


def test_a_click_opens_the_message_that_was_seen(music, page):
    write(music, "genre", 3)
    expect(messages(page).nth(2)).to_contain_text("genre")
    page.evaluate(
        """async () => {
            const { connect } = await import('/tablecast.js');
            window.heard = 0;
            const subscription = connect('/ws').subscribe('tables');
            subscription.on('message', () => window.heard += 1);
            await subscription.ready;
            const frame = window.requestAnimationFrame.bind(window);
            window.draws = [];
            window.requestAnimationFrame = draw => window.draws.push(draw);  // messages come, and nothing is drawn
            await new Promise(resolve => frame(() => frame(resolve)));  // but what was asked for before
        }"""
    )
    write(music, "artist", 4)
    page.wait_for_function("() => window.heard === 4", polling=20)
    line = messages(page).nth(1)
    expect(line).to_contain_text("genre")
    line.dispatch_event("click")
    line.locator("td").first.dispatch_event("click")
    assert detail(page)["data"]["tableName"] == "genre"


def test_a_change_of_unknown_rows_is_shown_as_text(music, page):
    music.shell("CREATE VIRTUAL TABLE words USING fts5(word); INSERT INTO words VALUES('sea');")
    expect(messages(page).first).to_contain_text("another process changed rows in words")


def test_the_line_that_is_read_stays_where_it_is(music, page):
    write(music, "genre", 60)
    expect(messages(page).nth(15)).to_contain_text("genre")
    scroller = page.locator(".feed-panes .virtual-scroller")
    scroller.evaluate("element => { element.scrollTop = 680 }")
    line = messages(page).filter(has=page.locator("td")).nth(12)
    line.locator("td").first.click()
    selected = page.locator(".messages tr.selected")
    top = selected.bounding_box()["y"]
    shown = page.locator(".filters .quiet")
    before = shown.inner_text()
    write(music, "artist", 10)
    expect(shown).to_contain_text("71 messages")
    assert before.startswith("61 messages")
    page.evaluate("() => new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve)))")
    assert abs(selected.bounding_box()["y"] - top) < 1
    scroller.evaluate("element => { element.scrollTop = 0 }")
    expect(messages(page).first).to_contain_text("artist")


def test_the_keyboard_selects_and_opens_a_message(music, page):
    write(music, "genre", 2)
    write(music, "artist", 1)
    expect(messages(page)).to_have_count(4)
    scroller = page.locator(".feed-panes .virtual-scroller")
    scroller.focus()
    page.keyboard.press("ArrowDown")
    expect(messages(page).first).to_have_class("selected")
    expect(page.locator(".message-detail")).to_be_hidden()
    page.keyboard.press("Enter")
    assert detail(page)["data"]["tableName"] == "artist"
    page.keyboard.press("ArrowDown")
    expect(messages(page).nth(1)).to_have_class("selected")
    assert detail(page)["data"]["tableName"] == "genre"
    page.keyboard.press("Escape")
    expect(page.locator(".message-detail")).to_be_hidden()
    expect(scroller).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Close").click()
    expect(scroller).to_be_focused()


def test_what_comes_while_it_is_paused_waits_whatever_the_filter(music, page):
    write(music, "genre", 2)
    expect(messages(page)).to_have_count(3)
    page.get_by_role("button", name="Pause").click()
    write(music, "artist", 3)
    expect(page.locator(".filters .quiet")).to_contain_text("3 waiting")
    page.get_by_label("Text", exact=True).fill("update")
    page.get_by_label("Text", exact=True).fill("")
    expect(page.locator(".filters .quiet")).to_contain_text("3 messages")
    expect(page.locator(".filters .quiet")).to_contain_text("3 waiting")
    page.get_by_role("button", name="Resume").click()
    expect(messages(page)).to_have_count(6)


def test_large_messages_are_kept_up_to_a_limit_in_bytes(page):
    kept = page.evaluate(
        """async () => {
            const { Feed } = await import('/assets/feed.js');
            const feed = new Feed();
            for (let index = 0; index < 400; index++) feed.receive({ type: 'x', channel: 'tables', data: { rows: ['x'.repeat(1_000_000)] } });
            return feed.shown.length;
        }"""
    )
    assert 10 <= kept <= 32


def test_queries_of_the_page_itself_are_not_listed(music, page):
    page.get_by_label("Channel").select_option("queries")
    page.evaluate("location.hash = '#/tables/best_sellers/rows'")
    expect(page.locator(".rows tbody tr").first).to_be_visible()
    page.evaluate("location.hash = '#/feed'")
    expect(page.locator("#view-feed")).to_be_visible()
    expect(messages(page).filter(has_text="best_sellers")).to_have_count(0)
