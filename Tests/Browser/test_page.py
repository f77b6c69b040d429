import json
import re
import sqlite3
import threading
import time
import urllib.request

from playwright.sync_api import expect

from conftest import longest_computation, serving


def test_the_feed_is_filtered_paused_and_raw(music, visitors):
    page = visitors.open(f"{music.url}/#/feed")
    music.shell("UPDATE genre SET name = 'X' WHERE genre_id = 1")
    music.shell("UPDATE artist SET name = 'Y' WHERE artist_id = 1")
    messages = page.locator(".messages tbody:not(.spacer) tr")
    expect(messages.first).to_contain_text("updated 1 in artist")
    page.get_by_label("Channel").select_option("tables")
    page.locator(".filters").get_by_label("Table", exact=True).select_option("=genre")
    expect(messages.first).to_contain_text("updated 1 in genre")
    expect(messages).to_have_count(1)
    page.locator(".filters").get_by_label("Table", exact=True).select_option("")
    page.get_by_label("Text", exact=True).fill("ARTIST")
    expect(messages).to_have_count(1)
    page.get_by_label("Text", exact=True).fill("")
    page.get_by_role("button", name="Pause").click()
    shown = messages.count()
    music.shell("UPDATE genre SET name = 'Z' WHERE genre_id = 1")
    expect(page.locator(".filters .quiet")).to_contain_text("1 waiting")
    expect(messages).to_have_count(shown)
    page.get_by_role("button", name="Resume").click()
    expect(messages).to_have_count(shown + 1)
    page.get_by_label("Row values").check()
    music.shell("UPDATE genre SET name = 'with values' WHERE genre_id = 1")
    expect(messages).to_have_count(shown + 3)  # the change, and before it the new subscription
    messages.first.click()
    raw = json.loads(page.locator(".message-detail pre").inner_text())
    assert raw["type"] == "table:modified" and raw["data"]["rows"][0]["after"]["name"] == "with values"


def test_people_have_names_and_cursors(music, visitors):
    ada = visitors.open(f"{music.url}/#/people", "Ada")
    grace = visitors.open(f"{music.url}/#/queries", "Grace")
    person = ada.locator(".people li", has_text="Grace")
    expect(person).to_be_visible()
    expect(ada.locator(".people li")).to_have_count(2)
    grace.fill("#sql", "SELECT 1\nFROM artist")
    grace.evaluate("document.getElementById('sql').setSelectionRange(9, 13)")
    expect(person).to_contain_text("line 2, with a selection")
    ada.keyboard.press("2")
    ada.fill("#sql", "SELECT 1\nFROM artist")
    expect(ada.locator(".caret .flag")).to_have_text("Grace")
    expect(ada.locator(".cursors .selection")).to_have_count(1)
    grace.goto(f"{music.url}/#/tables/genre/rows")
    cell = grace.get_by_role("gridcell", name="Jazz", exact=True)
    cell.click()
    ada.goto(f"{music.url}/#/tables/genre/rows")
    expect(ada.get_by_role("gridcell", name="Jazz", exact=True)).to_have_attribute("data-cursor", "Grace")
    grace.goto(f"{music.url}/#/people")
    grace.get_by_label("Your name").fill("Grace Hopper")
    grace.keyboard.press("Enter")
    expect(ada.locator("#initials .avatar")).to_have_text("GH")
    grace.context.close()
    expect(ada.locator("#initials")).to_be_hidden()


def test_a_query_is_read_along_as_it_is_written(music, visitors):
    ada = visitors.open(f"{music.url}/#/queries", "Ada")
    grace = visitors.open(f"{music.url}/#/queries", "Grace")
    ada.fill("#sql", "SELECT 'mine'")
    grace.fill("#sql", "SELECT title\nFROM ")
    drafts = ada.get_by_role("navigation", name="Whose query")
    drafts.get_by_role("link", name="Grace").click()
    theirs = ada.get_by_label("SQL of another user")
    expect(theirs).to_have_value("SELECT title\nFROM ")
    expect(theirs).to_have_attribute("readonly", "")
    expect(ada.get_by_role("button", name="Run")).to_be_disabled()
    grace.locator("#sql").press_sequentially("album")
    expect(theirs).to_have_value("SELECT title\nFROM album")
    expect(ada.locator(".caret .flag")).to_have_text("Grace")
    # The reader points at something, and the writer sees it.
    theirs.evaluate("area => { area.focus(); area.setSelectionRange(7, 12) }")
    expect(grace.locator(".caret .flag")).to_have_text("Ada")
    expect(grace.locator(".cursors .selection")).to_have_count(1)
    expect(grace.locator("#sql")).to_have_value("SELECT title\nFROM album")
    drafts.get_by_role("link", name="Yours").click()
    expect(ada.locator("#sql")).to_have_value("SELECT 'mine'")
    drafts.get_by_role("link", name="Grace").click()
    ada.get_by_role("button", name="Copy to my editor").click()
    expect(ada.locator("#sql")).to_have_value("SELECT title\nFROM album")
    expect(ada.locator(".history li").first).to_contain_text("SELECT 'mine'")  # not lost
    # One who came later reads it too; one who does not want readers has none.
    late = visitors.open(f"{music.url}/#/people", "Late")
    late.locator(".people li", has_text="Grace").get_by_role("link", name="view text").click()
    expect(late.get_by_label("SQL of another user")).to_have_value("SELECT title\nFROM album")
    grace.get_by_label("Share my text").uncheck()
    expect(late.locator(".following")).to_contain_text("Grace does not share")
    expect(drafts.get_by_role("link", name="Grace")).to_have_count(0)
    grace.context.close()
    expect(late.locator(".following")).to_contain_text("Grace has left")


def test_a_lost_connection_comes_back_and_says_what_was_missed(music, visitors):
    page = visitors.open(f"{music.url}/#/tables/genre/rows")
    expect(page.locator(".rows tbody tr")).to_have_count(10)
    music.kill()
    expect(page.locator("#banner")).to_contain_text("The connection was lost")
    expect(page.locator("#connection")).to_have_attribute("data-state", re.compile("waiting|connecting"))
    music.shell("INSERT INTO genre VALUES (88, 'While away')")
    music.start()
    expect(page.locator("#connection")).to_have_attribute("data-state", "open")
    expect(page.locator("#banner")).to_be_hidden()
    expect(page.locator(".toast")).to_contain_text("changes were missed")
    expect(page.get_by_role("gridcell", name="While away")).to_be_visible()
    music.shell("INSERT INTO genre VALUES (89, 'And after')")
    expect(page.get_by_role("gridcell", name="And after")).to_be_visible()


def test_a_cut_connection_resumes_with_nothing_missed_and_nothing_repeated(music, relay, visitors):
    page = visitors.open(f"{relay.url}/#/tables/playlist/rows")
    expect(page.locator(".pager .quiet")).to_contain_text("of 6")
    page.evaluate(
        """async () => {
            const { connect } = await import('/tablecast.js');
            window.heard = [];
            window.lives = [];
            const subscription = connect('/ws').subscribe('tables', { tables: ['playlist'], rows: 'values' });
            subscription.on('message', ({ data }) => window.heard.push(...data.rows.map((row) => row.after.name)));
            subscription.on('live', ({ resumed, recovered }) => window.lives.push([resumed, recovered]));
            await subscription.ready;
        }"""
    )
    written = []

    def server_position():
        with urllib.request.urlopen(f"{music.url}/status", timeout=5) as response:
            return int(json.load(response)["position"].split(":")[1])

    def write(*names):
        for name in names:
            music.shell(f"INSERT INTO playlist (name) VALUES ('{name}')")
            written.append(name)

    heard_all = "count => window.heard.length >= count"
    write("before one", "before two")
    page.wait_for_function(heard_all, arg=len(written))
    for round in range(3):
        relay.cut()
        expect(page.locator("#banner")).to_contain_text("The connection was lost")
        write(*(f"away {round}.{number}" for number in range(4)))
        while server_position() < len(written):
            pass  # the server is asked past the relay: what it has not seen yet would come live instead
        relay.mend()
        page.locator("#banner button").dispatch_event("click")  # unless it has tried by itself meanwhile
        expect(page.locator("#connection")).to_have_attribute("data-state", "open")
        expect(page.locator(".toast[data-kind=good]").last).to_contain_text("Nothing was missed: 4 transactions caught up")
        page.wait_for_function("count => window.lives.length === count", arg=round + 2)
        write(f"after {round}")
        expect(page.locator(".rows").get_by_role("gridcell", name=f"after {round}")).to_be_visible()
    page.wait_for_function(heard_all, arg=len(written))
    assert page.evaluate("window.heard") == written
    assert page.evaluate("window.lives") == [[False, None]] + 3 * [[True, True]]
    shown = page.locator(".rows tbody tr").evaluate_all("trs => trs.map(tr => tr.cells[3].textContent)")
    assert shown[6:] == written
    expect(page.locator(".pager .quiet")).to_contain_text(f"of {6 + len(written)}")


def test_the_connection_details_are_shown(music, visitors):
    page = visitors.open(music.url)
    expect(page.locator("#connection .latency")).to_have_text(re.compile(r"ms|s"))
    page.locator("#connection").click()
    details = page.locator("dialog .details")
    expect(details).to_contain_text("Position")
    expect(details).to_contain_text("Clients")


def test_hostile_names_are_harmless(nasty, visitors):
    page = visitors.open(nasty.url)
    page.evaluate("window.alert = text => { window.attacked = text }")
    names = [table["name"] for table in json.load(urllib.request.urlopen(f"{nasty.url}/tables"))["tables"]]
    expect(page.locator(".tables li")).to_have_count(len(names))
    markup = next(name for name in names if "<img" in name)
    for name in names:
        page.evaluate("name => { location.hash = `#/tables/${encodeURIComponent(name)}/rows` }", name)
        expect(page.locator(".tables a[aria-current]")).to_have_count(1)
        expect(page.locator(".table-view h1")).to_have_text(name if name.strip() else re.compile(r"\((empty|blank) name\)"))
        page.evaluate("name => { location.hash = `#/tables/${encodeURIComponent(name)}/schema` }", name)
        expect(page.locator(".schema-view")).to_be_visible()
    quoted = '"' + markup.replace('"', '""') + '"'
    page.evaluate("location.hash = '#/feed'")
    nasty.shell(f"INSERT INTO {quoted} DEFAULT VALUES")
    expect(page.locator(".messages")).to_contain_text("<img")
    page.evaluate("location.hash = '#/queries'")
    page.fill("#sql", "SELECT '<script>alert(1)</script>' AS \"<img src=x onerror=alert(2)>\"")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".result tbody", has_text="<script>")).to_be_visible()
    visitors.open(f"{nasty.url}/#/people", "<img src=x onerror=alert(3)>")
    page.evaluate("location.hash = '#/people'")
    expect(page.locator(".people li", has_text="<img")).to_be_visible()
    # A view of a table that is not there can't be described: the page says so, and so does the browser's console.
    visitors.complaints[:] = [text for text in visitors.complaints if "422" not in text]
    assert page.evaluate("window.attacked") is None
    assert page.evaluate("document.querySelectorAll('main img, main script').length") == 0


def test_nothing_is_fetched_from_elsewhere_and_no_cookie_is_set(music, visitors):
    page = visitors.open(f"{music.url}/#/tables/artist/rows")
    expect(page.locator(".rows tbody tr")).to_have_count(16)
    assert all(url.startswith(music.url) for url in visitors.requests)
    assert page.context.cookies() == []
    with urllib.request.urlopen(music.url) as response:
        policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    blocked = page.evaluate(
        """() => new Promise(resolve => {
            addEventListener('securitypolicyviolation', event => resolve(event.effectiveDirective), { once: true });
            const script = document.createElement('script');
            try { script.text = 'window.inline = true' } catch { return resolve('trusted-types') }
            document.head.append(script);
        })"""
    )
    assert blocked in ("script-src-elem", "trusted-types", "require-trusted-types-for")
    visitors.complaints.clear()  # the browser complains about what was just tried


def test_the_client_module_is_there_for_others(music):
    for path, kind in (("/tablecast.js", "text/javascript"), ("/tablecast.d.ts", "text/plain")):
        with urllib.request.urlopen(music.url + path) as response:
            assert response.headers.get_content_type() == kind
            tag = response.headers["ETag"]
        again = urllib.request.Request(music.url + path, headers={"If-None-Match": tag})
        try:
            urllib.request.urlopen(again)
            raise AssertionError("sent again")
        except urllib.error.HTTPError as answer:
            assert answer.code == 304


def test_everything_has_a_name_and_the_keyboard_reaches_it(music, visitors):
    page = visitors.open(music.url)
    for route in ("#/tables", "#/tables/track/rows", "#/tables/track/schema", "#/queries", "#/feed", "#/people"):
        page.evaluate("route => { location.hash = route }", route)
        nameless = page.evaluate(
            """() => [...document.querySelectorAll('button, input, select, textarea, a, dialog, progress')]
                .filter(element => element.checkVisibility() && !(element.ariaLabel || element.labels?.length || element.title || element.textContent.trim()))
                .map(element => element.outerHTML.slice(0, 80))"""
        )
        assert nameless == [], route
    page.evaluate("location.hash = '#/tables'; document.activeElement.blur()")
    page.keyboard.press("?")
    expect(page.locator("dialog.help")).to_be_visible()
    page.keyboard.press("Escape")
    for key, view in (("2", "queries"), ("3", "feed"), ("4", "people"), ("1", "tables")):
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press(key)
        expect(page.locator(f"#view-{view}")).to_be_visible()
    page.keyboard.press("j")
    expect(page.locator(".table-view h1")).to_be_visible()
    page.keyboard.press("s")
    expect(page.locator(".schema-view")).to_be_visible()


def follow_some_genres(page, music):
    """A live result with marks of each kind."""
    page.fill("#sql", "SELECT name FROM genre")
    page.get_by_label("Live", exact=True).check()
    expect(page.locator(".live-status")).to_have_text(re.compile("^1[01] rows · live"))
    music.shell("UPDATE genre SET name = name || '!' WHERE genre_id = 1; DELETE FROM genre WHERE name LIKE 'New%'; INSERT INTO genre (name) VALUES ('New ' || random())")
    expect(page.locator(".live .entered").first).to_be_visible()


def test_colours_contrast_in_both_themes(music, visitors):
    measure = """() => {
        const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
        const rgb = colour => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data] };
        const luminance = ([r, g, b]) => [r, g, b].map(c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4).reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
        const behind = element => { for (; element; element = element.parentElement) { const colour = rgb(getComputedStyle(element).backgroundColor); if (colour[3] > 250) return colour } return [255, 255, 255] };
        const alpha = element => { let all = 1; for (; element; element = element.parentElement) all *= Number(getComputedStyle(element).opacity); return all };
        const poor = new Set();
        for (const element of document.querySelectorAll('body *')) {
            if (!element.checkVisibility() || ![...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())) continue;
            if (element.closest('textarea, :disabled, [aria-disabled=true], .skip, noscript')) continue;
            const opacity = alpha(element);
            if (opacity === 0) continue; // faded away
            const ground = behind(element);
            const ink = rgb(getComputedStyle(element).color).map((c, i) => c * opacity + ground[i] * (1 - opacity));
            const [one, other] = [luminance(ink), luminance(ground)].sort((a, b) => b - a);
            if ((one + 0.05) / (other + 0.05) < 4.5) poor.add(`${element.tagName}.${element.className}: ${((one + 0.05) / (other + 0.05)).toFixed(2)}`);
        }
        return [...poor];
    }"""
    music.shell("CREATE TABLE bare (x); INSERT INTO bare VALUES (NULL), (x'00')")
    for scheme in ("light", "dark"):
        page = visitors.open(music.url, color_scheme=scheme, reduced_motion="reduce")
        for route in ("#/tables", "#/tables/bare/rows", "#/tables/track/rows", "#/tables/track/schema", "#/queries", "#/feed", "#/people"):
            page.evaluate("route => { location.hash = route }", route)
            if route.endswith("rows"):
                # What is read still is shown paler, and what was shown before may be there yet.
                expect(page.locator(".table-view h1")).to_have_text(route.split("/")[2])
                expect(page.locator('.table-view .scroller[aria-busy="false"] .rows tbody tr').first).to_be_visible()
            if route == "#/queries":
                follow_some_genres(page, music)
            page.evaluate("Promise.allSettled(document.getAnimations().map((animation) => animation.effect.getComputedTiming().iterations === Infinity || animation.finished))")
            assert page.evaluate(measure) == [], f"{scheme} {route}"


def test_it_fits_a_phone(music, visitors):
    page = visitors.open(music.url, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    for route in ("#/tables", "#/tables/track/rows", "#/tables/track/schema", "#/queries", "#/feed", "#/people"):
        page.evaluate("route => { location.hash = route }", route)
        assert page.evaluate("document.documentElement.scrollWidth") == 390, route
        box = page.locator(".schema-view:visible section").last.bounding_box() if route.endswith("schema") else None
        assert box is None or box["x"] + box["width"] <= 390, route
        expect(page.get_by_role("link", name="Queries")).to_be_in_viewport()
    page.evaluate("location.hash = '#/tables'")
    page.locator(".tables a", has_text="genre").tap()
    expect(page.locator(".rows")).to_be_visible()
    page.get_by_label("All tables").tap()
    expect(page.locator(".tables")).to_be_visible()


def test_the_page_is_quick_and_a_thousand_changes_a_second_leave_it_responsive(music, visitors):
    page = visitors.open(music.url)
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN")
    page.evaluate("location.hash = '#/tables/genre/rows'")
    expect(page.locator(".rows tbody tr")).to_have_count(10)
    page.evaluate(
        """() => { window.seen = new Promise(resolve => new MutationObserver((_, observer) => {
            if (document.querySelector('.rows .mark-insert')) { observer.disconnect(); resolve(Date.now()) }
        }).observe(document.querySelector('.rows'), { subtree: true, childList: true, attributes: true })) }"""
    )
    writer = sqlite3.connect(music.database, isolation_level=None, timeout=5)
    writer.execute("PRAGMA synchronous = OFF")
    writer.execute("INSERT INTO genre VALUES (90, 'First')")
    committed = time.time() * 1000
    first_change = page.evaluate("window.seen") - committed

    page.evaluate(
        """() => { window.tasks = []; new PerformanceObserver(list => window.tasks.push(...list.getEntries().map(entry => entry.duration))).observe({ entryTypes: ['longtask'] });
            window.since = performance.now(); window.frames = 0; const count = () => { window.frames += 1; requestAnimationFrame(count) }; count() }"""
    )
    changes, seconds = 5_000, 5
    page.context.browser.start_tracing(page=page, categories=["toplevel", "disabled-by-default-devtools.timeline"])

    def write():
        started = time.monotonic()
        for index in range(changes):
            if (ahead := started + index * seconds / changes - time.monotonic()) > 0:
                threading.Event().wait(ahead)  # the pace of the load, not a wait for the page
            if index % 3 == 0:
                writer.execute("INSERT INTO playlist (name) VALUES (?)", (f"list {index}",))
            else:
                writer.execute("UPDATE genre SET name = ? WHERE genre_id = ?", (f"name {index}", index % 10 + 1))

    started = time.monotonic()
    write()
    took = time.monotonic() - started
    last = max(index for index in range(changes) if index % 3 != 0)
    expect(page.get_by_role("gridcell", name=f"name {last}", exact=True)).to_be_visible()
    # Both before the trace is written, which takes the page's time too.
    longest = max(page.evaluate("window.tasks"), default=0)
    frames = page.evaluate("window.frames / (performance.now() - window.since) * 1000")
    computed = longest_computation(page.context.browser.stop_tracing())
    print(f"\nfirst paint {paint:.0f} ms, first live change {first_change:.0f} ms after its commit; {changes / took:.0f} changes/s: longest task {longest:.0f} ms, {computed:.0f} ms of it computing, {frames:.0f} frames/s")
    assert computed < 100
    page.keyboard.press("3")
    expect(page.locator(".messages tbody:not(.spacer) tr").first).to_be_visible()
