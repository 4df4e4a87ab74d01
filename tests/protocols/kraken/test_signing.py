"""The signature against the worked example of Kraken's documentation, and what is said of a bad key pair."""

import pytest

from allstop.actors.protocols.kraken.signing import check_key, sign

# docs.kraken.com, spot REST authentication: the example's own key, never a live one.
SECRET = "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg=="
NONCE = 1616492376594
BODY = b"nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25"
SIGNATURE = "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ=="
KEY = "A" * 56


def test_the_documented_example_is_signed_as_documented():
    assert sign(SECRET, "/0/private/AddOrder", NONCE, BODY) == SIGNATURE
    assert sign(SECRET, "/0/private/AddOrder", str(NONCE), BODY) == SIGNATURE


@pytest.mark.parametrize(
    ("path", "nonce", "body"),
    [
        ("/0/private/CancelOrder", NONCE, BODY),
        ("/0/private/AddOrder", NONCE + 1, BODY),
        ("/0/private/AddOrder", NONCE, BODY + b"&"),
    ],
)
def test_path_nonce_and_body_are_all_signed(path: str, nonce: int, body: bytes):
    assert sign(SECRET, path, nonce, body) != SIGNATURE


def test_a_key_and_secret_of_the_right_shape_pass():
    assert check_key(KEY, SECRET) is None


@pytest.mark.parametrize(
    ("key", "secret", "where"),
    [
        ("", SECRET, "key"),
        (KEY, "", "secret"),
        (KEY + "\n", SECRET, "key"),
        (KEY, " " + SECRET, "secret"),
        ("short", SECRET, "key"),
        (KEY[:-1] + "!", SECRET, "key"),
        (KEY[:-1] + "\u00e9", SECRET, "key"),
        (KEY, SECRET[:-1], "secret"),
        (KEY, "not base64 at all", "secret"),
        (KEY, SECRET[:-2] + "\u00e9=", "secret"),
        (KEY, "c2hvcnQ=", "secret"),
        (SECRET, SECRET, "secret"),
    ],
)
def test_what_is_wrong_is_named_without_showing_it(key: str, secret: str, where: str):
    problem = check_key(key, secret)

    assert problem is not None
    assert problem.where == where
    for value in (key, secret):
        assert not value.strip() or value.strip() not in str(problem)
