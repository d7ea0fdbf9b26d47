"""The viewers of words in a blank Chromium: what their scripts compute, show, say and take."""

import json
import random
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers as hf
from playwright.sync_api import Page, expect

from labkit.chromium import find_chromium
from labkit.tokenizers import BPETokenizer, ByteTokenizer, CharTokenizer, Tokenizer
from labkit.viz import embeddings, tokens, visible
from tests.browser.alone import opened
from tests.test_viz_words import HOSTILE, NAMES, TEXTS, VECTORS, NeverA
from viewers.viewer import script

CHROMIUM = find_chromium()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")

IMPORT = """async script => {
  await import(URL.createObjectURL(new Blob([script], {type: "text/javascript"})));
}"""
CUT = """([rule, text, most]) => {
  const rules = new own.Rules(rule);
  return Array.from({length: most + 1}, (_, m) => rules.cut(text, m).map(([id]) => id));
}"""
FAKE = """([state, packed]) => {
  const view = bytes => new DataView(Uint8Array.from(bytes).buffer);
  for (const [name, bytes] of Object.entries(packed)) state[name] = view(bytes);
  const heard = {};
  window.sent = [];
  window.hear = (message, parts) => heard["msg:custom"](message, parts.map(view));
  const model = {
    get: name => state[name],
    set: (name, value) => { state[name] = value; },
    save_changes: () => {},
    send: message => sent.push(message),
    on: (event, then) => { heard[event] = then; },
  };
  const el = document.createElement("div");
  own.widget.render({model, el});
  document.body.append(el); // after it was drawn, as in JupyterLab
}"""
SPLIT = hf.pre_tokenizers.ByteLevel(add_prefix_space=False)


@pytest.fixture(scope="module")
def bpe() -> BPETokenizer:
    return BPETokenizer.train(TEXTS, 300)


def functions(page: Page, name: str, *wanted: str) -> Page:
    """Put a script's own functions where a test can call them, under the name `own`."""
    code = script(name).replace("export default", "const widget =")
    page.goto("about:blank")
    page.evaluate(IMPORT, f"{code}\nwindow.own = {{ {', '.join(wanted)} }};")
    return page


def rule_of(tokenizer: Tokenizer) -> dict[str, Any]:
    rule: dict[str, Any] = tokens("", tokenizer).meta["rules"][0]
    return rule


def with_first_merges(tokenizer: BPETokenizer, m: int) -> hf.Tokenizer:
    """The library's tokenizer with only the first m merges; its ids stay as they were."""
    inner = hf.Tokenizer.from_str(tokenizer.content)
    vocab = inner.get_vocab()
    merges = [(left, right) for left, right in merges_of(tokenizer)[:m]]
    inner.model = hf.models.BPE(vocab=vocab, merges=merges)
    return inner


def merges_of(tokenizer: BPETokenizer) -> list[list[str]]:
    found: list[list[str]] = json.loads(tokenizer.content)["model"]["merges"]
    return found


def test_after_each_merge_the_script_cuts_as_the_library_does(
    browser: Page, bpe: BPETokenizer
) -> None:
    page = functions(browser, "tokens.js", "Rules")
    n = len(merges_of(bpe))
    shortened = [with_first_merges(bpe, m) for m in range(n + 1)]
    for text in HOSTILE + TEXTS[:3]:
        cuts = page.evaluate(CUT, [rule_of(bpe), text, n])
        assert cuts == [inner.encode(text).ids for inner in shortened]


def random_texts(n: int) -> list[str]:
    """Texts of letters, digits, spaces and signs of all scripts; many are nonsense."""
    rng = random.Random(0)
    usual = "the cat's  hat\n\t 我爱编程猫 I'll 12 é½\u0301\u200d\u00a0\u0085\ufeff"
    codes = [code for code in range(0x20000) if unicodedata.category(chr(code))[0] not in "C"]
    return [
        "".join(
            rng.choice(usual) if rng.random() < 0.7 else chr(rng.choice(codes))
            for _ in range(rng.randrange(40))
        )
        for _ in range(n)
    ]


def test_any_text_is_cut_as_python_cuts_it(browser: Page, bpe: BPETokenizer) -> None:
    page = functions(browser, "tokens.js", "Rules")
    texts = [*HOSTILE, *random_texts(400)]
    one_cut = "([rule, texts]) => texts.map(t => new own.Rules(rule).cut(t).map(([id]) => id))"
    for tokenizer in (bpe, ByteTokenizer(), CharTokenizer.train(texts)):
        cuts = page.evaluate(one_cut, [rule_of(tokenizer), texts])
        assert cuts == [tokenizer.encode(text) for text in texts]


def test_every_character_of_unicode_is_cut_and_shown_as_in_python(browser: Page) -> None:
    page = functions(browser, "tokens.js", "PIECES", "visible")
    known = [c for c in range(0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]
    texts = [f"a{char} {char}1{char} " for char in map(chr, known[::3])]
    pieces = "texts => texts.map(t => t.match(own.PIECES).map(p => [...p].length))"
    expected = [[end - start for _, (start, end) in SPLIT.pre_tokenize_str(t)] for t in texts]
    assert page.evaluate(pieces, texts) == expected
    shown = page.evaluate("texts => texts.map(own.visible)", texts)
    assert shown == [visible(text) for text in texts]


def test_a_token_is_labelled_as_python_labels_it(browser: Page, bpe: BPETokenizer) -> None:
    page = functions(browser, "tokens.js", "Rules", "label")
    labels = "([rule, n]) => Array.from({length: n}, (_, id) => own.label(%s))"
    of_bytes = page.evaluate(labels % "[id]", [rule_of(ByteTokenizer()), 256])
    assert of_bytes == [visible(ByteTokenizer().label(byte)) for byte in range(256)]
    found = page.evaluate(labels % "new own.Rules(rule).bytesOf(id)", [rule_of(bpe), bpe.end])
    for token, label in enumerate(found):
        python = bpe.label(token)
        assert ("⟨" in label) if "\ufffd" in python else (label == visible(python))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_and_not_read_as_markup(
    text: str, browser: Page, bpe: BPETokenizer, tmp_path: Path
) -> None:
    named = {"<i>": bpe, "bytes": ByteTokenizer(), "one": CharTokenizer.train([*HOSTILE])}
    viewer = tokens(text, named, title="<u>Title</u>")
    with opened(browser, viewer, tmp_path) as page:
        for name, tokenizer in named.items():
            ids = page.get_by_role("listbox", name=f"ids, {name}", exact=True)
            shown = ids.get_by_role("option").all_text_contents()
            assert [int(number) for number in shown] == tokenizer.encode(text)
        assert page.get_by_label("text", exact=True).input_value() == text
        assert page.locator("b b, .lk i, .lk u").count() == 0
        chars = page.get_by_role("listbox", name="text, one").get_by_role("option")
        expected = [visible(char).replace("\u0301", "\u25cc\u0301") for char in text]
        assert chars.all_text_contents() == expected


def test_pieces_of_one_character_stand_in_one_bracket(browser: Page, tmp_path: Path) -> None:
    with opened(browser, tokens("a我👍b", ByteTokenizer()), tmp_path) as page:
        groups = page.locator(".parts")
        assert groups.locator("b").all_text_contents() == ["我", "👍"]
        assert groups.nth(0).get_by_role("option").all_text_contents() == ["⟨E6⟩", "⟨88⟩", "⟨91⟩"]
        expect(page.get_by_text("4 characters, 9 bytes, 9 tokens: 0.44 characters")).to_be_visible()


def test_hovering_a_token_marks_its_id_and_the_same_bytes_elsewhere(
    browser: Page, bpe: BPETokenizer, tmp_path: Path
) -> None:
    viewer = tokens("the cat", {"bpe": bpe, "bytes": ByteTokenizer()})
    with opened(browser, viewer, tmp_path) as page:
        ids = page.get_by_role("listbox", name="ids, bpe").get_by_role("option")
        text = page.get_by_role("listbox", name="text, bpe").get_by_role("option")
        ids.nth(1).hover()
        assert text.nth(1).get_attribute("aria-selected") == "true"
        text.nth(0).hover()
        assert ids.nth(0).get_attribute("aria-selected") == "true"
        assert page.locator(".text .with").all_text_contents() == list("the")
        told = f"bpe: my_tokens[0] = {bpe.encode('the cat')[0]} is the; bytes 74 68 65"
        expect(page.locator("[role=status]")).to_have_text(told)


def test_everything_can_be_done_with_keys(browser: Page, bpe: BPETokenizer, tmp_path: Path) -> None:
    viewer = tokens("the cat", {"bpe": bpe, "bytes": ByteTokenizer()})
    with opened(browser, viewer, tmp_path) as page:
        press = page.keyboard.press
        press("Tab")
        expect(page.get_by_label("text", exact=True)).to_be_focused()
        press("End")
        page.keyboard.type("s")
        status, line = page.locator("[role=status]"), page.locator("code")
        expect(line).to_have_text(f"my_tokens = {bpe.encode('the cats')}")
        press("Tab")
        expect(page.get_by_role("slider", name="merges of bpe that are made")).to_be_focused()
        press("Home")
        expect(line).to_have_text(f"my_tokens = {with_first_merges(bpe, 0).encode('the cats').ids}")
        press("Tab")
        press("Tab")
        press("Enter")
        assert int(page.locator("output").inner_text()) > 0
        assert page.get_by_text("1 of the ").count() == 1
        press("Tab")
        press("End")
        press("ArrowLeft")
        expect(status).to_contain_text(" is at; bytes 61 74")
        for _ in range(2):
            press("Tab")
        press("ArrowRight")
        expect(status).to_have_text("bytes: my_tokens[1] = 104 is h; byte 68")
        expect(line).to_have_text(f"my_tokens = {list(b'the cats')}")


def test_every_control_has_a_name(browser: Page, bpe: BPETokenizer, tmp_path: Path) -> None:
    viewer = tokens("a", {"b": ByteTokenizer(), "bpe": bpe}, model=NeverA())
    with opened(browser, viewer, tmp_path) as page:
        tree = page.locator("#picture").aria_snapshot()
        for named in ('textbox "text"', 'checkbox "colour by surprise"', 'listbox "ids, b"'):
            assert named in tree
        for role in ("button", "slider", "listbox", "checkbox", "textbox", "group"):
            assert f"- {role}:" not in tree
            assert f"- {role}\n" not in tree


def test_surprise_is_told_in_bits(browser: Page, tmp_path: Path) -> None:
    viewer = tokens("ba", ByteTokenizer(), model=NeverA())
    with opened(browser, viewer, tmp_path) as page:
        ids = page.get_by_role("listbox", name="ids, bytes").get_by_role("option")
        assert ids.all_text_contents() == ["98 8.00", "97 ∞"]
        page.get_by_role("listbox", name="text, bytes").get_by_role("option").nth(0).click()
        expect(page.locator("[role=status]")).to_have_text(
            "bytes: my_tokens[0] = 98 is b; byte 62; surprise 8.00 bits"
        )
        expect(page.get_by_text("12 bits and more: full colour")).to_be_visible()
        page.get_by_label("text", exact=True).fill("bb")
        expect(page.get_by_text("this page holds the surprise of its first text")).to_be_visible()


def test_what_cannot_be_cut_is_said(browser: Page, tmp_path: Path) -> None:
    with opened(browser, tokens("the cat", CharTokenizer("ab")), tmp_path) as page:
        expect(page.get_by_role("alert")).to_have_text("t (U+0074) is none of its 2 characters")
        page.get_by_label("text", exact=True).fill("ab")
        expect(page.locator("code")).to_have_text("my_tokens = [0, 1]")
        expect(page.get_by_role("alert")).to_be_hidden()


def told_neighbours(page: Page) -> list[str]:
    """Label and cosine of each row of the list of neighbours, joined."""
    return page.locator(".side tr").all_text_contents()


def true_neighbours(point: int, k: int) -> list[str]:
    """What the list should hold, by a computation of its own."""
    cosines = VECTORS @ VECTORS[point]
    cosines /= np.linalg.norm(VECTORS, axis=1) * np.linalg.norm(VECTORS[point])
    return [f"w{j}{cosines[j]:.4f}" for j in np.argsort(-cosines) if j != point][:k]


def test_points_are_chosen_with_keys_alone(browser: Page, tmp_path: Path) -> None:
    with opened(browser, embeddings(VECTORS, NAMES, neighbours=4), tmp_path) as page:
        press, line = page.keyboard.press, page.locator("code")
        expect(page.locator("[role=status]")).to_contain_text("w0 (0): nearest by cosine: w")
        assert told_neighbours(page) == true_neighbours(0, 4)
        press("Tab")
        page.keyboard.type("w2")
        expect(page.get_by_text("1 of 11; Enter: next")).to_be_visible()
        expect(line).to_have_text("my_point = 2")
        press("Enter")
        expect(line).to_have_text("my_point = 20")
        for _ in range(3):
            press("Tab")
        expect(page.locator("canvas")).to_be_focused()
        press("+")
        press(".")
        expect(line).to_have_text("my_point = 21")
        press(",")
        press(",")
        expect(line).to_have_text("my_point = 19")
        assert told_neighbours(page) == true_neighbours(19, 4)
        press("Tab")
        press("Enter")
        nearest_label = true_neighbours(19, 1)[0][: -len("0.0000")]
        expect(line).to_have_text(f"my_point = {nearest_label[1:]}")
        expect(page.locator("canvas")).to_be_focused()


def test_arrows_go_to_the_nearest_point_that_way(browser: Page) -> None:
    page = functions(browser, "embeddings.js", "towards")
    points = np.random.default_rng(1).normal(size=(50, 2))
    go = "([points, from, way]) => own.towards(Float32Array.from(points.flat()), from, way)"
    for i, way in enumerate([(1, 0), (-1, 0), (0, -1), (0, 1)] * 5):
        across, up = points[:, 0] - points[i, 0], points[:, 1] - points[i, 1]
        along = across * way[0] - up * way[1]
        aside = np.abs(up if way[0] else across)
        far = np.where((along > 0) & (aside <= along), along + 2 * aside, np.inf)
        expected = int(far.argmin()) if np.isfinite(far).any() else i
        assert page.evaluate(go, [points.tolist(), i, way]) == expected


def test_the_search_finds_the_same_then_beginnings_then_the_rest(browser: Page) -> None:
    page = functions(browser, "embeddings.js", "matches")
    labels = ["the cat", "cats", "␣Cat", "cat", "dog", ""]
    assert page.evaluate("l => own.matches(l, 'CAT')", labels) == [3, 1, 0, 2]
    assert page.evaluate("l => own.matches(l, ' cat')", labels) == [2]
    assert page.evaluate("l => own.matches(l, '')", labels) == []


def test_a_click_chooses_the_point_under_it(browser: Page, tmp_path: Path) -> None:
    left, right, middle = (24, 200), (536, 200), (280, 200)  # 560 × 400, with margins of 24
    with opened(browser, embeddings([[-1], [3], [1]], "abc"), tmp_path) as page:
        for (x, y), point in ((right, 1), (left, 0), (middle, 2)):
            page.locator("canvas").click(position={"x": x, "y": y - 8})
            expect(page.locator("code")).to_have_text(f"my_point = {point}")
        page.locator("canvas").click(position={"x": 280, "y": 100})
        expect(page.locator("code")).to_have_text("my_point = 2")


def test_hostile_labels_are_shown_and_not_read_as_markup(browser: Page, tmp_path: Path) -> None:
    labels = [*HOSTILE, *"xyz"]
    vectors = np.eye(len(labels)) + 1
    with opened(browser, embeddings(vectors, labels, neighbours=9), tmp_path) as page:
        names = page.locator(".side td button").all_text_contents()
        assert names == [visible(label) for label in labels[1:]]
        assert page.locator(".lk b, .lk i, .lk u").count() == 0
        page.get_by_label("find").fill("<B></")
        expect(page.locator("code")).to_have_text("my_point = 2")
        page.get_by_label("find").fill("nowhere")
        expect(page.get_by_text("no label holds this")).to_be_visible()


def test_one_point_alone_has_no_neighbours(browser: Page, tmp_path: Path) -> None:
    with opened(browser, embeddings([[1.0, 2.0]], ["only"]), tmp_path) as page:
        expect(page.locator("[role=status]")).to_have_text("only (0): nearest by cosine: nothing")
        page.locator("canvas").press("ArrowLeft")
        page.locator("canvas").press(".")
        expect(page.locator("code")).to_have_text("my_point = 0")


def test_neighbours_that_were_not_sent_are_asked_for(browser: Page) -> None:
    viewer = embeddings(VECTORS, NAMES, neighbours=4)
    state = {"title": "t", "meta": viewer.meta, "chosen": 0}
    packed = {"points": list(viewer.points), "near": list(viewer.near[:16])}
    packed["cosines"] = list(viewer.cosines[:16])
    page = functions(browser, "embeddings.js", "widget")
    page.evaluate(FAKE, [state, packed])
    page.locator("canvas").press(".")
    expect(page.locator("[role=status]")).to_have_text("w1 (1): fetching its neighbours …")
    (asked,) = page.evaluate("() => sent")
    answer = viewer.answer(asked)
    assert answer is not None
    page.evaluate(
        "([message, parts]) => hear(message, parts)", [answer[0], [*map(list, answer[1])]]
    )
    assert told_neighbours(page) == true_neighbours(1, 4)
