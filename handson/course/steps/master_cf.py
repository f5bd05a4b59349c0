"""Does the submission service run, and does it take logins and nothing else?"""

from __future__ import annotations

from handson.course.checks import Finding, Rules, bad, good
from handson.course.step import Step
from handson.diagnosis.chain import Link, up_to
from handson.hosts import snapshot
from handson.hosts.restore import put_back
from handson.i18n import _
from handson.mail.observation import Observation
from handson.mail.postfix import MASTER_CF, find_submission
from handson.ui.view import View

RULES = Rules("anonymous", "submission", "survey")
MANUAL = "https://www.postfix.org/master.5.html"
README = "https://www.postfix.org/SASL_README.html"


class MasterCf(Step):
    """Start the submission service on port 587, for logged-in clients only."""

    slug = "05_master_cf"
    title = _("master.cf")
    purpose = _("Start the submission service on port 587, for logged-in clients only.")
    rules = RULES
    snapshots = ("server",)

    def undo(self) -> list[View]:
        """Put master.cf back, so that nothing listens on port 587, and saslauthd as it was."""
        server, postfix = self.hosts.server, self.observe().postfix
        shown = put_back(server, MASTER_CF, mark="^(submission|587)[[:space:]]+inet")
        # A run that was killed may have put the file back and not come to the restart.
        is_stale = postfix.is_listening(587) and not find_submission(postfix.services())
        if shown or is_stale:
            shown.append(server.run("sudo systemctl restart postfix"))
        if snapshot.has(server, self.slug):
            ran = snapshot.has(server, self.slug, "saslauthd")
            if server.facts.service("saslauthd").is_running != ran:
                what = "start" if ran else "stop"
                shown.append(server.run("sudo systemctl {what} saslauthd", what=what))
        snapshot.forget(server, self.slug)
        return shown


@RULES.now(
    "submission-defined",
    _("master.cf starts a submission service."),
    MANUAL,
    up_to(Link.LISTENS),
)
def submission_defined(observed: Observation) -> Finding:
    services, service = observed.survey.services, observed.survey.submission
    if service:
        return good(f"{service.key} {service.command}")
    return bad(
        _("postconf -M: {names}").format(
            names=", ".join(key for key in services if "inet" in key)
            or observed.survey.services_error
            or _("nothing")
        ),
        _("No service of type inet is called submission or 587.") if services else "",
        _("Run the cells above: they add the service."),
    )


@RULES.now(
    "submission-listens",
    _("The server listens on port 587 for other hosts."),
    MANUAL,
    up_to(Link.LISTENS),
)
def submission_listens(observed: Observation) -> Finding:
    if observed.survey.is_open(587):
        return good("ss -lnt4: " + ", ".join(f"{one}:587" for one in observed.survey.sockets(587)))
    ports = observed.survey.ports
    return bad(
        _("ss -lnt4, ports: {ports}").format(ports=", ".join(map(str, ports)) or "–"),
        "",
        "",
    )


@RULES.now(
    "submission-needs-login",
    _("A client that has not logged in is refused on port 587."),
    "https://www.postfix.org/postconf.5.html#permit_sasl_authenticated",
    up_to(Link.RESTRICTIONS),
)
def submission_needs_login(observed: Observation) -> Finding:
    dialogue = observed.anonymous
    if dialogue.is_open and dialogue.refusal and not dialogue.is_accepted:
        return good(str(dialogue.refusal))
    return bad(
        dialogue.outcome(),
        "",
        "",
    )


@RULES.now("submission-offers-plain", _("Port 587 offers AUTH PLAIN."), README, up_to(Link.GREETS))
def submission_offers_plain(observed: Observation) -> Finding:
    offered = observed.submission.mechanisms
    if "PLAIN" in offered:
        return good(f"AUTH {' '.join(offered)}")
    return bad(
        observed.submission.outcome(),
        "",
        "",
    )


@RULES.now(
    "submission-offers-listed",
    _("Port 587 offers no mechanism that smtpd.conf does not list."),
    "https://www.postfix.org/SASL_README.html#server_cyrus_location",
    up_to(Link.GREETS),
)
def submission_offers_listed(observed: Observation) -> Finding:
    offered = observed.submission.mechanisms
    listed = observed.survey.mechanisms
    extra = [one for one in offered if one.removesuffix("-PLUS") not in listed]
    if offered and not extra:
        return good(f"mech_list: {' '.join(listed)}")
    return bad(
        _("offered: {offered}; mech_list: {listed}").format(
            offered=" ".join(offered) or "–", listed=" ".join(listed) or "–"
        ),
        _("Without a mech_list all that are installed are offered.")
        if offered and not listed
        else "",
        "",
    )


@RULES.now(
    "login-works",
    _("The login with the right password succeeds on port 587."),
    "https://www.rfc-editor.org/rfc/rfc4954",
    up_to(Link.LOGIN),
)
def login_works(observed: Observation) -> Finding:
    dialogue = observed.submission
    if dialogue.is_logged_in:
        return good(str(dialogue.auth))
    return bad(
        dialogue.outcome(),
        "",
        "",
    )
