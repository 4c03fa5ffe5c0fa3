"""Accounts, access keys, and what the server says of itself: our own operations."""

import msgspec

from patchwright.api.context import Answer, Context, Request
from patchwright.api.registry import registry
from patchwright.core import enrol_script
from patchwright.core.access import NAMED_POLICIES, parse_policy
from patchwright.core.errors import Invalid, Kind, NotFound, Refused
from patchwright.flows.make_access_key import make_access_key
from patchwright.store import principals

MAX_PAGE = 50


@registry.serves("CreateAccessKey", service="patchwright")
def create_access_key(ctx: Context, req: Request) -> Answer:
    """A key for a user; its secret is in this answer and, sealed, in the store."""
    account = req.get("AccountId", ctx.principal.account)
    _own_account(ctx, account)
    ctx.require(f"arn:aws:iam::{account}:user/{req['UserName']}")
    if not principals.account_exists(ctx.tx, account):
        raise NotFound(Kind.ACCOUNT, f"Account {account} does not exist.", id=account)
    made = make_access_key(
        ctx.tx,
        account=account,
        user_name=req["UserName"],
        policy=_policy(req.get("Policy")),
        now=ctx.now,
        ids=ctx.ids,
        sealer=ctx.sealer,
    )
    return {
        "AccessKeyId": made.key.id,
        "SecretAccessKey": made.secret,
        "UserName": made.key.user_name,
        "AccountId": account,
    }


def _policy(text: str | None) -> dict[str, object] | None:
    if text is None:
        return None
    if text in NAMED_POLICIES:
        return NAMED_POLICIES[text]
    try:
        document = msgspec.json.decode(text)
    except msgspec.DecodeError as wrong:
        raise Invalid(
            Kind.ACCESS_KEY, f"Policy is {', '.join(NAMED_POLICIES)} or the JSON text of a policy: {wrong}"
        ) from wrong
    parse_policy(document)
    made: dict[str, object] = document
    return made


def _own_account(ctx: Context, account: str) -> None:
    """Only the first account reaches beyond itself. Source: decisions.md 22."""
    if account != ctx.principal.account and ctx.principal.account != ctx.service.first_account:
        raise Refused(Kind.REQUEST, "Only the server's first account manages other accounts.")


@registry.serves("ListAccessKeys", service="patchwright", reads=True)
def list_access_keys(ctx: Context, req: Request) -> Answer:
    """The keys of the caller's account, without their secrets, by id."""
    ctx.require("*")
    limit = req.get("MaxResults", MAX_PAGE)
    found = principals.keys(ctx.tx, ctx.principal.account, after=ctx.cursor(req) or "", limit=limit + 1)
    more = found[limit - 1].id if len(found) > limit else None
    keys = [
        {"AccessKeyId": k.id, "UserName": k.user_name, "AccountId": k.account, "CreatedAt": k.created_at}
        for k in found[:limit]
    ]
    return {"AccessKeys": keys, "NextToken": ctx.page(req, more)}


@registry.serves("DeleteAccessKey", service="patchwright")
def delete_access_key(ctx: Context, req: Request) -> Answer:
    """The key stops working at once here, within seconds on other processes."""
    key_id = req["AccessKeyId"]
    ctx.require(f"arn:aws:iam::{ctx.principal.account}:access-key/{key_id}")
    if key_id == ctx.principal.access_key_id:
        raise Refused(Kind.REQUEST, "A key can't delete itself: use another one, so that nobody is locked out.")
    principals.delete_key(ctx.tx, ctx.principal.account, key_id)
    ctx.tx.wake("keys")
    return {}


@registry.serves("CreateAccount", service="patchwright")
def create_account(ctx: Context, req: Request) -> Answer:
    """A further account; its keys see nothing of other accounts."""
    account = req.get("AccountId") or f"{int.from_bytes(ctx.ids.random(8), 'big') % 10**12:012d}"
    ctx.require(f"arn:aws:iam::{account}:root")
    if ctx.principal.account != ctx.service.first_account:
        raise Refused(Kind.REQUEST, "Only the server's first account makes accounts.")
    principals.insert_account(ctx.tx, account, req["Name"], ctx.now)
    return {"AccountId": account, "Name": req["Name"]}


@registry.serves("ListAccounts", service="patchwright", reads=True)
def list_accounts(ctx: Context, req: Request) -> Answer:
    """Every account for the first one, itself for another."""
    ctx.require("*")
    first = ctx.principal.account == ctx.service.first_account
    found = [a for a in principals.accounts(ctx.tx) if first or a.id == ctx.principal.account]
    after, limit = ctx.cursor(req) or "", req.get("MaxResults", MAX_PAGE)
    rest = [a for a in found if a.id > after]
    more = rest[limit - 1].id if len(rest) > limit else None
    return {
        "Accounts": [{"AccountId": a.id, "Name": a.name, "CreatedAt": a.created_at} for a in rest[:limit]],
        "NextToken": ctx.page(req, more),
    }


@registry.serves("GetServerInformation", service="patchwright", reads=True)
def get_server_information(ctx: Context, req: Request) -> Answer:  # noqa: ARG001
    """What clients and enrolling nodes must know of this server."""
    ctx.require("*")
    return {
        "Version": ctx.service.version,
        "AccountId": ctx.scope.account,
        "Region": ctx.scope.region,
        "PublicUrl": ctx.service.public_url,
        "CaSha256": ctx.service.ca_sha256 or None,
        "AgentSha256": ctx.service.agent_sha256 or None,
        "EnrolSha256": enrol_script.SHA256,
    }
