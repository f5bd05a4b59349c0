"""Why a cell of the matrix came out otherwise than expected, and why a relay is open."""

from __future__ import annotations

from collections.abc import Callable

from handson.cloud.security_groups import covers
from handson.i18n import _
from handson.mail.relay_matrix.expected import (
    ACCEPTS,
    CLOSED,
    LOGIN_FAILS,
    NO_ANSWER,
    NO_AUTH,
    REFUSED,
    RELAYS,
    Cell,
    ServerFacts,
)


def explain(cell: Cell, facts: ServerFacts) -> str:
    """Return why a cell came out otherwise than expected; empty for one that did not."""
    if cell.is_open_relay:
        return _open_relay(cell, facts)
    if cell.is_as_expected:
        return ""
    why = _EXPLANATIONS.get(cell.observed)
    return why(cell, facts) if why else cell.dialogue.outcome()


def _open_relay(cell: Cell, facts: ServerFacts) -> str:
    if cell.login == "wrong" and cell.dialogue.is_logged_in:
        return _("A wrong password was taken as a right one.")
    if cell.is_trusted:
        return _by_address(cell, facts)
    return _(
        "mynetworks does not name {address}: smtpd_relay_restrictions and "
        "smtpd_recipient_restrictions let it through."
    ).format(address=cell.origin.address)


def _by_address(cell: Cell, facts: ServerFacts) -> str:
    networks = [network for network in facts.mynetworks if covers(network, cell.origin.address)]
    return _(
        "mynetworks holds {network}, and with it {address}: whoever sits there is trusted."
    ).format(network=" ".join(networks), address=cell.origin.address)


def _relays(cell: Cell, facts: ServerFacts) -> str:
    if cell.is_by_address:
        return _by_address(cell, facts)
    return _(
        "The login was taken on port {port}: smtpd_sasl_auth_enable holds for it as well."
    ).format(port=cell.port)


def _accepts(cell: Cell, facts: ServerFacts) -> str:
    if cell.login != "none":
        return _relays(cell, facts)
    return _("No rule of port {port} refuses those who have not logged in.").format(port=cell.port)


def _refused(cell: Cell, facts: ServerFacts) -> str:
    reply = cell.dialogue.refusal
    if cell.dialogue.is_logged_in and reply and "Relay access denied" in reply.text:
        return _(
            "The login was right, and still: {reply} The restrictions that decide about "
            "relaying name no permit_sasl_authenticated."
        ).format(reply=f"{reply}.")
    if cell.expected == NO_ANSWER:
        return _let_in(cell)
    return _("The server said: {reply}").format(reply=reply)


def _let_in(cell: Cell) -> str:
    return _("The security group lets {address} in to port {port}.").format(
        address=cell.origin.address, port=cell.port
    )


def _login_fails(cell: Cell, facts: ServerFacts) -> str:
    if cell.expected == NO_ANSWER:
        return _let_in(cell)
    if cell.expected == NO_AUTH:
        return _(
            "Port {port} offers a login: smtpd_sasl_auth_enable in main.cf holds for every port."
        ).format(port=cell.port)
    reply = cell.dialogue.auth
    if reply and reply.code < 500:
        if "too many" in reply.text:
            return _("{reply}. anvil(8) counts by address and minute: wait for a minute.").format(
                reply=reply
            )
        return _("{reply}. Can smtpd read the password database? The log tells.").format(
            reply=reply
        )
    if cell.port in facts.chroots:
        return _(
            "The smtpd of port {port} is chrooted and cannot see the password database."
        ).format(port=cell.port)
    return _("{reply}. The user, its domain or its password is another in the database.").format(
        reply=reply
    )


def _no_auth(cell: Cell, facts: ServerFacts) -> str:
    return _(
        "No login is offered: smtpd_sasl_auth_enable is off here, or a login is offered "
        "under TLS only."
    )


def _no_answer(cell: Cell, facts: ServerFacts) -> str:
    if (cell.origin.name, cell.port) in facts.reach:
        return cell.dialogue.outcome()  # a rule lets it in, or there is no security group
    return _("The packets are dropped: no rule of the security group lets {address} in.").format(
        address=cell.origin.address
    )


def _closed(cell: Cell, facts: ServerFacts) -> str:
    if cell.expected == NO_ANSWER:
        return _let_in(cell)
    return _(
        "Nothing listens on port {port}: its line in master.cf is not active, or Postfix "
        "does not run."
    ).format(port=cell.port)


_EXPLANATIONS: dict[str, Callable[[Cell, ServerFacts], str]] = {
    RELAYS: _relays,
    ACCEPTS: _accepts,
    REFUSED: _refused,
    LOGIN_FAILS: _login_fails,
    NO_AUTH: _no_auth,
    NO_ANSWER: _no_answer,
    CLOSED: _closed,
}
