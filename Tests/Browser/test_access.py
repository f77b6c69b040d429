from playwright.sync_api import expect

from conftest import READER


def test_the_page_asks_for_a_token_and_keeps_it_for_the_tab(guarded, visitors):
    page = visitors.open(guarded.url, state="closed")
    dialog = page.get_by_role("dialog", name="Token")
    expect(dialog).to_contain_text("from the operator of the server")
    expect(dialog).not_to_contain_text("Authorization")  # a reader has no headers to send
    dialog.get_by_label("Token").fill("wrong-" + 20 * "x")
    dialog.get_by_label("Token").press("Enter")
    expect(dialog).to_contain_text("the token is unknown")
    dialog.get_by_label("Token").fill(READER)
    dialog.get_by_role("button", name="Connect").click()
    expect(page.locator("#connection")).to_have_attribute("data-state", "open")
    expect(page.locator("#view-tables")).to_contain_text("genre")
    page.reload()
    expect(page.locator("#connection")).to_have_attribute("data-state", "open")
    assert page.context.cookies() == []
    assert page.evaluate("JSON.stringify(localStorage)").find(READER) == -1


def test_the_page_takes_a_token_from_the_fragment_of_its_address(guarded, visitors):
    page = visitors.open(f"{guarded.url}/#access_token={READER}")
    expect(page.locator("#view-tables")).to_contain_text("genre")
    assert READER not in page.url
    assert not any(READER in url for url in visitors.requests)
    page.goto(f"{guarded.url}/#/tables/genre/rows")
    expect(page.get_by_role("gridcell", name="Jazz", exact=True)).to_be_visible()
    assert READER not in "".join(guarded.output)


def test_the_token_is_a_password_that_a_manager_can_keep(guarded, visitors):
    page = visitors.open(guarded.url, state="closed")
    token = page.get_by_label("Token", exact=True).and_(page.locator("input"))
    expect(token).to_be_focused()
    assert token.evaluate("input => [input.type, input.autocomplete, input.form.username.value, input.labels[0].textContent]") == [
        "password",
        "current-password",
        page.evaluate("location.host"),
        "Token",
    ]
    dialog = page.get_by_role("dialog", name="Token")
    sides = dialog.evaluate(
        """dialog => [...dialog.querySelectorAll("h2, p, label, input:not([hidden])")].map((each) => {
            const outer = dialog.getBoundingClientRect();
            const inner = each.getBoundingClientRect();
            return Math.min(inner.left - outer.left, outer.right - inner.right);
        })"""
    )
    assert min(sides) >= 16, sides
