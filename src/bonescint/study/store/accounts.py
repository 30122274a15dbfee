"""Accounts, invitations, signing in and out."""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.orm import Session

from bonescint.study.errors import RefusedError, StudyError
from bonescint.study.store.tables import Account, Attempt, Invitation, SignIn, record_change
from bonescint.tables import folded

INVITATION_S = 14 * 86_400.0
SIGN_IN_S = 12 * 3_600.0
LEAST_PASSWORD = 10
_LONGEST_PASSWORD = 256
_MOST_FROM_ADDRESS = 5
_MOST_OF_ACCOUNT = 20
_MOST_OF_ADDRESS = 60
_WINDOW_S = 900.0
_SEEN_EVERY_S = 60.0

# OWASP's second choice for argon2id: 19 MiB, so that many sign-ins at once fit in memory.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
# Two threads of their own: the allocator keeps what each thread once used, so that every thread
# of the server would come to hold the 19 MiB of a hash.
_HASHING = ThreadPoolExecutor(max_workers=2, thread_name_prefix="password")
_NOBODY = _HASHER.hash(secrets.token_hex(16))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """A person who is invited to read.

    Attributes:
        reader: short name, for tables and signing in.
        name: as shown.
        experience_years: years of experience with bone scans, or `None`.
    """

    reader: str
    name: str
    experience_years: float | None = None


class Role(StrEnum):
    """What an account may do."""

    READER = "reader"
    ADMINISTRATOR = "administrator"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedInUser:
    """The user who sends a request.

    Attributes:
        account_id: number of the account.
        reader: short name.
        name: as shown.
        role: what the account may do.
        simulated: whether the reader is a program.
        csrf: token that every request that changes something must carry.
        sign_in_id: number of the sign-in.
    """

    account_id: int
    reader: str
    name: str
    role: Role
    simulated: bool
    csrf: str
    sign_in_id: int


def hashed(token: str) -> str:
    """The hash of a token, which is all that the store keeps of it."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def add_account(
    db: Session, reader: Reader, *, role: Role, now: float, simulated: bool = False
) -> Account:
    """Add an account without a password.

    Raises:
        StudyError: the name is taken.
    """
    keys = {folded(reader.reader), folded(reader.name)}
    for other in db.scalars(select(Account)):
        if keys & {folded(other.reader), other.name_key}:
            raise StudyError(f"There is already an account '{other.reader}'.")
    account = Account(
        reader=reader.reader,
        name=reader.name,
        name_key=folded(reader.name),
        role=role.value,
        experience_years=reader.experience_years,
        simulated=simulated,
        created_s=now,
    )
    db.add(account)
    db.flush()
    body = {"role": role.value, "simulated": simulated}
    record_change(db, "account added", body, now=now, account_id=account.id)
    return account


def find_account(db: Session, name: str) -> Account | None:
    """The account with this short or full name, or `None`."""
    key = folded(name)
    for account in db.scalars(select(Account)):
        if key in (folded(account.reader), account.name_key):
            return account
    return None


def set_active(db: Session, account: Account, *, active: bool, now: float) -> None:
    """Activate or deactivate an account; its answers stay.

    Raises:
        StudyError: it would lock out the last administrator.
    """
    if not active and account.role == Role.ADMINISTRATOR:
        count = db.scalar(
            select(func.count())
            .select_from(Account)
            .where(Account.role == Role.ADMINISTRATOR.value, Account.active.is_(True))
        )
        if count == 1:
            raise StudyError("This is the last administrator; add another one first.")
    account.active = active
    if not active:
        _end_sign_ins(db, account.id, now=now)
    record_change(db, "activated" if active else "deactivated", now=now, account_id=account.id)


def invite(db: Session, account: Account, *, now: float, lasts_s: float = INVITATION_S) -> str:
    """Make the token of an invitation link; unused earlier ones become invalid."""
    db.execute(
        update(Invitation)
        .where(Invitation.account_id == account.id, Invitation.used_s.is_(None))
        .values(expires_s=now)
    )
    token = secrets.token_urlsafe(24)
    expires_s = now + lasts_s
    db.add(
        Invitation(
            account_id=account.id, token_sha256=hashed(token), created_s=now, expires_s=expires_s
        )
    )
    record_change(db, "invited", {"expires_s": expires_s}, now=now, account_id=account.id)
    return token


def invited(db: Session, token: str, *, now: float, lock: bool = False) -> Account | None:
    """The account that an invitation is for, if the invitation is still valid."""
    query = select(Invitation).where(Invitation.token_sha256 == hashed(token))
    invitation = db.scalar(query.with_for_update() if lock else query)
    if invitation is None or invitation.used_s is not None or invitation.expires_s <= now:
        return None
    account = db.get(Account, invitation.account_id)
    return account if account is not None and account.active else None


def accept(db: Session, token: str, password_hash: str, *, now: float) -> Account:
    """Give an invited account its password and end its earlier sign-ins.

    Raises:
        RefusedError: the link is not or no longer valid.
    """
    account = invited(db, token, now=now, lock=True)
    if account is None:
        raise RefusedError("invitation", "This link is not or no longer valid.", status=410)
    db.execute(
        update(Invitation).where(Invitation.token_sha256 == hashed(token)).values(used_s=now)
    )
    account.password_hash = password_hash
    _end_sign_ins(db, account.id, now=now)
    record_change(db, "password set", now=now, account_id=account.id)
    return account


def hash_password(password: str, again: str) -> str:
    """Hash a password, entered twice, with argon2id.

    Raises:
        RefusedError: the two differ, or are too short or too long.
    """
    if password != again:
        raise RefusedError("password", "The two passwords differ.", status=422)
    if not LEAST_PASSWORD <= len(password) <= _LONGEST_PASSWORD:
        raise RefusedError(
            "password", f"Choose a password of at least {LEAST_PASSWORD} characters.", status=422
        )
    return _HASHING.submit(_HASHER.hash, password.encode(errors="replace")).result()


def password_fits(password_hash: str, password: str) -> bool:
    """Whether a password is correct; takes the same time if the account does not exist."""
    given = password[:_LONGEST_PASSWORD].encode(errors="replace")
    try:
        _HASHING.submit(_HASHER.verify, password_hash or _NOBODY, given).result()
    except (VerificationError, InvalidHashError):
        return False
    return bool(password_hash)


def network_of(address: str) -> str:
    """The network that limits count by: an IPv4 address, or the /64 of an IPv6 address.

    Examples:
        >>> network_of("192.0.2.7"), network_of("::ffff:192.0.2.7")
        ('192.0.2.7', '192.0.2.7')
        >>> network_of("2001:db8:1:2:3::4"), network_of("2001:db8:1:2::5")
        ('2001:db8:1:2::/64', '2001:db8:1:2::/64')
        >>> network_of("fe80::1%eth0"), network_of("a proxy's own word")
        ('fe80::/64', "a proxy's own word")
    """
    try:
        known = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(known, ipaddress.IPv4Address):
        return str(known)
    if known.ipv4_mapped is not None:
        return str(known.ipv4_mapped)
    return str(ipaddress.ip_network((known, 64), strict=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInAttempt:
    """An attempt to sign in, counted before its password is checked.

    Attributes:
        account: with the given name, or `None`.
        wait_s: seconds to wait after too many attempts; 0 if this attempt is allowed.
        counted: identifiers of its rows in the database.
    """

    account: Account | None
    wait_s: float = 0.0
    counted: tuple[int, ...] = ()


def count_attempt(db: Session, name: str, address: str, *, now: float) -> SignInAttempt:
    """Count an attempt to sign in, or say how long to wait.

    Within 15 minutes an account, under either of its names, accepts 5 attempts from one network
    and 20 from all networks; a network may make 60 for all accounts. Names without an account
    are counted in the same way.

    Args:
        db: a transaction, which must end before the password is checked, so that simultaneous
            attempts count as well.
        name: short or full name.
        address: network address of the browser.
        now: the study's time, in seconds.
    """
    if db.get_bind().dialect.name == "postgresql":  # SQLite has one writer at a time
        db.execute(text("LOCK TABLE attempt IN SHARE ROW EXCLUSIVE MODE"))
    db.execute(delete(Attempt).where(Attempt.at_s <= now - _WINDOW_S))
    account = find_account(db, name)
    who = f"account {account.id}" if account is not None else f"name {folded(name)}"
    network = network_of(address)
    limits = (
        (hashed(f"{who}\0{network}"), _MOST_FROM_ADDRESS),
        (hashed(who), _MOST_OF_ACCOUNT),
        (hashed(f"network {network}"), _MOST_OF_ADDRESS),
    )
    wait_s = max(_seconds_to_wait(db, key, most, now) for key, most in limits)
    if wait_s > 0:
        return SignInAttempt(account=account, wait_s=wait_s)
    rows = [Attempt(who_sha256=key, at_s=now) for key, _ in limits]
    db.add_all(rows)
    db.flush()
    return SignInAttempt(account=account, counted=tuple(row.id for row in rows))


def _seconds_to_wait(db: Session, key: str, most: int, now: float) -> float:
    """Seconds until the oldest of the last `most` attempts no longer counts."""
    counted = db.scalars(
        select(Attempt.at_s)
        .where(Attempt.who_sha256 == key)
        .order_by(Attempt.at_s.desc())
        .limit(most)
    ).all()
    return counted[-1] + _WINDOW_S - now if len(counted) >= most else 0.0


def forget_attempt(db: Session, attempt: SignInAttempt) -> None:
    """Remove an attempt that succeeded; earlier ones stay."""
    db.execute(delete(Attempt).where(Attempt.id.in_(attempt.counted)))


def sign_in(db: Session, account: Account, *, now: float) -> str:
    """Begin a sign-in and return the cookie's token."""
    token = secrets.token_urlsafe(32)
    db.add(
        SignIn(
            account_id=account.id,
            token_sha256=hashed(token),
            csrf=secrets.token_urlsafe(32),
            created_s=now,
            seen_s=now,
        )
    )
    return token


def signed_in_user(db: Session, token: str, *, now: float) -> tuple[SignedInUser, bool] | None:
    """The user whose cookie has this token, and whether `note_seen` is due; else `None`."""
    found = db.execute(
        select(SignIn, Account)
        .join(Account, Account.id == SignIn.account_id)
        .where(SignIn.token_sha256 == hashed(token))
    ).first()
    if found is None:
        return None
    entry, account = found
    if entry.ended_s is not None or now - entry.seen_s > SIGN_IN_S or not account.active:
        return None
    user = SignedInUser(
        account_id=account.id,
        reader=account.reader,
        name=account.name,
        role=Role(account.role),
        simulated=account.simulated,
        csrf=entry.csrf,
        sign_in_id=entry.id,
    )
    return user, now - entry.seen_s > _SEEN_EVERY_S


def note_seen(db: Session, sign_in_id: int, *, now: float) -> None:
    """Prolong a sign-in that is in use."""
    db.execute(update(SignIn).where(SignIn.id == sign_in_id).values(seen_s=now))


def sign_out(db: Session, sign_in_id: int, *, now: float) -> None:
    """End one sign-in."""
    db.execute(update(SignIn).where(SignIn.id == sign_in_id).values(ended_s=now))


def _end_sign_ins(db: Session, account_id: int, *, now: float) -> None:
    """End every sign-in of an account."""
    db.execute(
        update(SignIn)
        .where(SignIn.account_id == account_id, SignIn.ended_s.is_(None))
        .values(ended_s=now)
    )
