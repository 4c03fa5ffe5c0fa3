"""Sealed tokens: ours open, all others do not. Source: spec/operations.md 1.6, spec/agent-protocol.md 4.2."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from patchwright.wire.credentials import NodeKeys, RunTokens, bearer_token
from patchwright.wire.errors import ExpiredTokenError, InvalidNextTokenError, UnrecognizedClientError
from patchwright.wire.tokens import MAX_TOKEN, InvalidTokenError, Tokens, derive_key, seal, unseal

MASTER, OTHER = bytes(range(32)), bytes(range(1, 33))
NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
LISTING = ("ListCommands", "000000000001", "local-1", {"Filters": [{"key": "Status", "value": "Success"}]})


def test_keys_are_hkdf_by_purpose():
    expected = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"next-token").derive(MASTER)
    assert derive_key(MASTER, "next-token") == expected
    assert derive_key(MASTER, "run-token") != expected
    with pytest.raises(ValueError, match="at least 32 bytes"):
        derive_key(MASTER[:31], "next-token")


def test_a_page_token_opens_for_its_listing_in_another_process():
    token = Tokens(MASTER).seal_page(["2030", 5], *LISTING)
    assert Tokens(MASTER).open_page(token, *LISTING) == ["2030", 5]


def test_the_page_size_may_change_between_pages():
    operation, account, region, filters = LISTING
    token = Tokens(MASTER).seal_page(7, *LISTING)
    again = {**filters, "MaxResults": 5, "NextToken": token}
    assert Tokens(MASTER).open_page(token, operation, account, region, again) == 7


@pytest.mark.parametrize(
    "listing",
    [
        ("ListCommandInvocations", *LISTING[1:]),
        (LISTING[0], "000000000002", *LISTING[2:]),
        (*LISTING[:2], "local-2", LISTING[3]),
        (*LISTING[:3], {}),
        (*LISTING[:3], {**LISTING[3], "InstanceId": "i-1"}),
        (*LISTING[:3], {"Filters": [{"key": "Status", "value": "Failed"}]}),
    ],
)
def test_a_page_token_of_another_listing_is_refused(listing):
    token = Tokens(MASTER).seal_page(7, *LISTING)
    with pytest.raises(InvalidNextTokenError) as caught:
        Tokens(MASTER).open_page(token, *listing)
    assert (caught.value.code, caught.value.status) == ("InvalidNextToken", 400)


@pytest.mark.parametrize("token", ["", "x", "AAAA", "é", "a" * 44, "=" * 44, "\x00", "a" * (MAX_TOKEN + 1), "a b\n"])
def test_garbage_is_refused(token):
    with pytest.raises(InvalidNextTokenError):
        Tokens(MASTER).open_page(token, *LISTING)


def test_no_character_of_a_token_can_be_changed_added_or_left_out():
    key = derive_key(MASTER, "any")
    token = seal(key, {"a": 1})
    others = [token[:i] + ("A" if c != "A" else "B") + token[i + 1 :] for i, c in enumerate(token)]
    others += [token + "=", token + "A", token[:-1], " " + token, token + "\n"]
    for other in others:
        with pytest.raises(InvalidTokenError):
            unseal(key, other)
    with pytest.raises(InvalidTokenError):
        unseal(derive_key(OTHER, "any"), token)
    with pytest.raises(InvalidTokenError):
        unseal(key, token, b"context")
    assert unseal(key, token) == {"a": 1}


def test_a_token_that_nobody_would_accept_is_not_made():
    with pytest.raises(ValueError, match="4096 characters"):
        seal(derive_key(MASTER, "any"), "x" * MAX_TOKEN)


def issue(**changes):
    arguments = {
        "node_id": "mi-0a1b2c3d4e5f60718",
        "now": NOW,
        "lifetime": timedelta(hours=1),
        "randomness": b"0123456789",
    }
    return NodeKeys(MASTER).issue(**{**arguments, **changes})


def test_node_credentials_look_like_awss_and_describe_themselves():
    issued = issue()
    assert len(issued.access_key_id) == 20
    assert issued.access_key_id.startswith("ASIA")
    assert len(issued.secret_access_key) == 40
    assert issued.expires_at == NOW + timedelta(hours=1)
    restarted = NodeKeys(MASTER)
    session = restarted.read(issued.session_token, issued.access_key_id, NOW)
    assert (session.node_id, session.expires_at) == ("mi-0a1b2c3d4e5f60718", issued.expires_at)
    assert restarted.secret(session.access_key_id) == issued.secret_access_key


def test_no_two_keys_share_a_secret_and_no_two_servers_either():
    first, second = issue(), issue(randomness=b"9876543210")
    assert first.secret_access_key != second.secret_access_key
    assert NodeKeys(OTHER).secret(first.access_key_id) != first.secret_access_key
    with pytest.raises(ValueError, match="10 random bytes"):
        issue(randomness=b"short")


def test_a_session_token_of_another_key_or_server_is_not_recognised():
    first, second = issue(), issue(randomness=b"9876543210")
    run = RunTokens(MASTER).issue("mi-0a1b2c3d4e5f60718", "c", "s", NOW + timedelta(hours=1))
    for keys, token in [
        (NodeKeys(MASTER), second.session_token),
        (NodeKeys(OTHER), first.session_token),
        (NodeKeys(MASTER), "pwn1."),
        (NodeKeys(MASTER), ""),
        (NodeKeys(MASTER), run),
        (NodeKeys(MASTER), first.session_token[:-1]),
        (NodeKeys(MASTER), "pwn1." + run.removeprefix("pwr1.")),
    ]:
        with pytest.raises(UnrecognizedClientError):
            keys.read(token, first.access_key_id, NOW)


def test_a_session_ends_at_its_time():
    issued = issue()
    NodeKeys(MASTER).read(issued.session_token, issued.access_key_id, issued.expires_at - timedelta(seconds=1))
    with pytest.raises(ExpiredTokenError):
        NodeKeys(MASTER).read(issued.session_token, issued.access_key_id, issued.expires_at)


def test_a_run_token_names_its_node_command_and_step_until_it_ends():
    tokens = RunTokens(MASTER)
    token = tokens.issue("mi-0a1b2c3d4e5f60718", "3b8f3a52", "PatchLinux", NOW + timedelta(hours=2))
    assert token.startswith("pwr1.")
    run = tokens.read(token, NOW)
    assert (run.node_id, run.command_id, run.step) == ("mi-0a1b2c3d4e5f60718", "3b8f3a52", "PatchLinux")
    with pytest.raises(ExpiredTokenError):
        tokens.read(token, NOW + timedelta(hours=2))
    for other in (token + "A", token[:-2], token.removeprefix("pwr1."), issue().session_token, "pwr1.", ""):
        with pytest.raises(UnrecognizedClientError):
            tokens.read(other, NOW)
    with pytest.raises(UnrecognizedClientError):
        RunTokens(OTHER).read(token, NOW)


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer pwr1.x", "pwr1.x"),
        ("bearer  pwr1.x ", "pwr1.x"),
        ("Bearer ", None),
        ("AWS4-HMAC-SHA256 x", None),
        ("", None),
        (None, None),
    ],
)
def test_a_bearer_token_is_read_from_its_header(header, token):
    assert bearer_token(header) == token
