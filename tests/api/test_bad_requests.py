"""Whatever is wrong with a request is said in pretix's words and status, and never costs a unit."""

from __future__ import annotations

import httpx
import pytest

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def send(shop):
    """Send raw bytes to the orders of a fresh event with ten units; afterwards all ten must be there."""
    event, _, quota = shop().selling(10)

    def post(content: bytes, headers: dict[str, str] | None = None, path: str = "orders/") -> httpx.Response:
        return event.api.post(f"events/{event.slug}/{path}", content=content, headers=JSON | (headers or {}))

    post.event = event
    yield post
    left = event.api.get(f"events/{event.slug}/quotas/{quota}/availability/").json()["available_number"]
    assert left == 10


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b'{"a":', "JSON parse error - Expecting value: line 1 column 6 (char 5)"),
        (b"NaN", "JSON parse error - Out of range float values are not JSON compliant: 'NaN'"),
        (b'{"price": Infinity}', "JSON parse error - Out of range float values are not JSON compliant: 'Infinity'"),
        (b'{"email": "\\ud800"}', "JSON parse error - Invalid number or text"),
    ],
)
def test_malformed_json_is_400(send, content, text):
    answer = send(content)
    assert (answer.status_code, answer.json()) == (400, {"detail": text})


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"[" * 100_000, b'{"a":' * 5_000, b"\x00", b'"' + b"\\u0000" * 9 + b'"']
)
def test_junk_is_400(send, content):
    assert send(content).status_code == 400


def test_a_large_body_is_413(send):
    answer = send(b"a" * 10_000_000)
    assert (answer.status_code, answer.json()) == (413, {"detail": "The request body is too large."})


@pytest.mark.parametrize("kind", ["application/xml", "text/plain", "image/png"])
def test_a_body_of_another_kind_is_415(send, kind):
    answer = send(b"<x/>", {"Content-Type": kind})
    assert (answer.status_code, answer.json()) == (415, {"detail": f'Unsupported media type "{kind}" in request.'})


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/json", "application/json; charset=utf-8"])
def test_forms_and_both_names_of_json_are_read(send, kind):
    answer = send(b"{}" if "json" in kind else b"email=x", {"Content-Type": kind})
    assert (answer.status_code, answer.json()["positions"]) == (400, ["This field is required."])


def test_a_list_in_a_form_is_a_field_given_more_than_once(shop):
    event = shop()
    items = [event.item(name=name) for name in ("A", "B")]
    path = f"events/{event.slug}/quotas/"
    form = {"name": "Q", "size": "5", "items": [str(item) for item in items]}
    answer = event.api.post(path, data=form)
    assert (answer.status_code, answer.json()["items"], answer.json()["size"]) == (201, items, 5)
    answer = event.api.patch(f"{path}{answer.json()['id']}/", data={"size": "", "items": str(items[0])})
    assert (answer.status_code, answer.json()["items"], answer.json()["size"]) == (200, items[:1], None)
    parts = [("name", (None, "Q")), *(("items", (None, str(item))) for item in items)]
    assert event.api.post(path, files=parts).json()["items"] == items
    answer = event.api.post(path, data={"name": "Q", "size": "", "items": "x"})
    assert answer.json() == {"items": ["Incorrect type. Expected pk value, received str."]}


def test_a_form_has_a_largest_number_of_fields(send):
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert "positions" in send(b"&".join([b"a=1"] * 1000), kind).json()
    answer = send(b"&".join([b"a=1"] * 1001), kind)
    assert (answer.status_code, answer.json()) == (400, {"detail": "A form can have at most 1000 fields."})


@pytest.mark.parametrize(("accept", "status"), [("text/html", 406), ("image/*", 406), ("text/html,*/*;q=0.8", 200)])
def test_an_accept_header_without_json_is_406(send, accept, status):
    event = send.event
    answer = event.api.get(f"events/{event.slug}/quotas/", headers={"Accept": accept})
    assert answer.status_code == status
    if status == 406:
        assert answer.json() == {"detail": "Could not satisfy the request Accept header."}


@pytest.mark.parametrize(
    "number", ["9" * 30, "1e999", "-1", "1.5", "true", '"x"', "null", "[]", "{}", '"' + "9" * 2000 + '"']
)
@pytest.mark.parametrize("field", ["item", "price", "variation", "subevent", "positionid"])
def test_strange_numbers_are_refused_or_harmless(send, field, number):
    body = f'{{"simulate": true, "positions": [{{"item": 0, "{field}": {number}}}]}}'
    assert send(body.encode()).status_code == 400


@pytest.mark.parametrize(
    "path", ["orders/%00/", "orders/%ff/", "quotas/99999999999999999999999/", "cartpositions/x/", "quotas/-1/"]
)
def test_strange_names_are_404(send, path):
    event = send.event
    assert event.api.get(f"events/{event.slug}/{path}").status_code == 404


def test_a_path_without_its_slash_is_redirected_for_reading_only(send):
    event = send.event
    answer = event.api.get(f"events/{event.slug}/quotas?page_size=1", follow_redirects=False)
    assert answer.status_code == 301
    assert answer.headers["Location"].endswith("/quotas/?page_size=1")
    assert event.api.post(f"events/{event.slug}/quotas", json={}).status_code == 404


@pytest.mark.parametrize("header", ["multipart/form-data", "multipart/form-data; boundary=x", "multipart/form-data; ="])
@pytest.mark.parametrize("content", [b"{}", b"--x", b"--x\r\n\r\n", b"--x--", b"\x00" * 9])
def test_forms_in_parts_that_have_none_are_400(send, header, content):
    assert send(content, {"Content-Type": header}).status_code == 400


def test_forms_in_parts_are_read(send):
    part = b'--x\r\nContent-Disposition: form-data; name="email"\r\n\r\nnone\r\n--x--\r\n'
    answer = send(part, {"Content-Type": "multipart/form-data; boundary=x"})
    assert (answer.status_code, answer.json()["email"]) == (400, ["Enter a valid email address."])
    deep = b"".join(b"--x%d\r\nContent-Type: multipart/mixed; boundary=x%d\r\n\r\n" % (n, n + 1) for n in range(3000))
    assert send(deep, {"Content-Type": "multipart/form-data; boundary=x0"}).status_code == 400


@pytest.mark.parametrize("kind", [b"\xfc", b"image/\xff"])
def test_headers_that_are_no_text_are_shown_as_far_as_they_are(send, kind):
    answer = send.event.api.post(f"events/{send.event.slug}/orders/", content=b"x", headers={"Content-Type": kind})
    assert answer.status_code == 415
    assert "\ufffd" in answer.json()["detail"]
