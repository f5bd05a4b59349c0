"""The templates as text: cfn-lint, names, and what AWS and the lab are both given."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cfnlint.api import lint_file
from cfnlint.decode import cfn_yaml

from handson.cloud.names import Names
from handson.cloud.stacks import INSTANCE_TYPE, TEMPLATES, plan
from handson.hosts.inventory import READY
from handson.settings import Settings

FILES = sorted(TEMPLATES.glob("*.yml"))
PLANS = plan(Settings(date="20250101"), "key", "203.0.113.5")


def load(path: Path) -> dict[str, Any]:
    template: dict[str, Any] = cfn_yaml.load(str(path))
    return template


def resources(kind: str) -> list[dict[str, Any]]:
    return [
        resource["Properties"]
        for path in FILES
        for resource in load(path)["Resources"].values()
        if resource["Type"] == kind
    ]


def test_the_plan_uses_every_template() -> None:
    assert sorted({p.template for p in PLANS}) == FILES
    assert {path.name for path in FILES} >= {"cfn-template-pri-sub.yml", "cfn-template-client.yml"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_cfn_lint_is_clean(path: Path) -> None:
    assert [str(match) for match in lint_file(path)] == []


@pytest.mark.parametrize("stack_plan", PLANS, ids=lambda p: p.name)
def test_the_plan_fits_the_parameters(stack_plan: Any) -> None:
    declared = load(stack_plan.template)["Parameters"]
    planned = set(stack_plan.given) | set(stack_plan.taken)
    assert planned <= set(declared)
    assert {name for name, slot in declared.items() if "Default" not in slot} <= planned
    for name, (stack, output) in stack_plan.taken.items():
        source = next(p for p in PLANS if p.name == stack)
        assert output in load(source.template)["Outputs"], name
        assert PLANS.index(source) < PLANS.index(stack_plan)


def test_the_tutorials_names_are_in_the_templates() -> None:
    groups = [group["GroupName"] for group in resources("AWS::EC2::SecurityGroup")]
    assert {"Fn::Sub": "sg_${Date}${Learner}-smtp-handson-smtp-server"} in groups
    names = [
        tag["Value"]
        for instance in resources("AWS::EC2::Instance")
        for tag in instance["Tags"]
        if tag["Key"] == "Name"
    ]
    assert {"Fn::Sub": "${Date}${Learner}-smtp-handson-server"} in names
    assert {"Fn::Sub": "${Date}${Learner}-smtp-handson-${Role}"} in names
    role = load(TEMPLATES / "cfn-template-client.yml")["Parameters"]["Role"]
    assert role["Default"] == "client" and role["AllowedValues"] == ["client", "stranger"]


@pytest.mark.parametrize("learner", ["", "ayumi", "ayumi-2", "a" * 20])
def test_the_names_of_the_templates_are_those_of_the_library(learner: str) -> None:
    names = Names("20250101", learner)
    plans = plan(Settings(date="20250101", learner=learner), names.key, "203.0.113.5")
    found = set()
    for one in plans:
        template = load(one.template)
        slot = template["Parameters"]["Learner"]
        given = {"Role": "client", "Learner": slot["Default"], **one.given}
        assert slot["Default"] == "" and re.fullmatch(slot["AllowedPattern"], given["Learner"])
        for resource in template["Resources"].values():
            properties = resource["Properties"]
            tags = [tag["Value"] for tag in properties.get("Tags", []) if tag["Key"] == "Name"]
            for value in filter(None, [*tags, properties.get("GroupName")]):
                found.add(re.sub(r"\$\{(\w+)\}", lambda m, g=given: g[m[1]], value["Fn::Sub"]))
    assert found >= {names.server, names.client, names.stranger}
    assert found >= {names.server_group, names.client_group, names.stranger_group}
    tail = f"-{learner}" if learner else ""
    assert all(re.match(rf"(sg_)?20250101{tail}-smtp-handson-", name) for name in found)


UNTAGGABLE = ("Attachment", "Route", "SubnetRouteTableAssociation")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_everything_that_takes_tags_is_tagged(path: Path) -> None:
    for name, resource in load(path)["Resources"].items():
        if not resource["Type"].endswith(UNTAGGABLE):
            keys = {tag["Key"] for tag in resource["Properties"]["Tags"]}
            assert keys == {"Name", "Project", "Date", "CreatedBy"}, name


def test_instances_are_as_safe_as_they_can_be() -> None:
    instances = resources("AWS::EC2::Instance")
    assert len(instances) == 2
    for instance in instances:
        assert instance["MetadataOptions"]["HttpTokens"] == "required"
        assert instance["PropagateTagsToVolumeOnCreation"] is True
        assert all(disk["Ebs"]["Encrypted"] for disk in instance["BlockDeviceMappings"])


def test_instances_are_of_the_type_that_a_zone_is_chosen_for() -> None:
    slots = [load(path)["Parameters"].get("InstanceType") for path in FILES]
    assert [slot["Default"] for slot in slots if slot] == [INSTANCE_TYPE] * 2


def test_ssh_is_open_to_nobody_else() -> None:
    rules = [
        rule
        for group in resources("AWS::EC2::SecurityGroup")
        for rule in group["SecurityGroupIngress"]
    ]
    assert [rule for rule in rules if rule.get("CidrIp") == "0.0.0.0/0"] == []
    assert 587 not in [rule["FromPort"] for rule in rules]


def test_the_endpoint_reads_packages_and_nothing_else() -> None:
    [endpoint] = resources("AWS::EC2::VPCEndpoint")
    [statement] = endpoint["PolicyDocument"]["Statement"]
    assert statement["Action"] == "s3:GetObject"
    assert all("-repos-" in resource["Fn::Sub"] for resource in statement["Resource"])


@pytest.mark.parametrize(
    "domain",
    ["example.com", "xn--bcher-kva.example", "a.b.c.example.org", "1st.example"],
)
def test_a_domain_of_the_settings_passes_the_template(domain: str) -> None:
    pattern = load(TEMPLATES / "cfn-template-server.yml")["Parameters"]["Domain"]["AllowedPattern"]
    assert re.fullmatch(pattern, Settings(domain=domain).domain)


@pytest.mark.parametrize(
    "domain",
    ["example.com; rm -rf /", "$(id).example", "example.com'", "a b.example", "-a.example", "com"],
)
def test_what_a_shell_would_read_does_not_pass(domain: str) -> None:
    pattern = load(TEMPLATES / "cfn-template-server.yml")["Parameters"]["Domain"]["AllowedPattern"]
    assert not re.fullmatch(pattern, domain)


def user_data() -> list[str]:
    """Return the scripts, the server's first."""
    texts = [one["UserData"]["Fn::Base64"] for one in resources("AWS::EC2::Instance")]
    scripts = [text["Fn::Sub"] if isinstance(text, dict) else text for text in texts]
    return sorted(scripts, key=len, reverse=True)


@pytest.mark.parametrize("script", user_data(), ids=["server", "client"])
def test_user_data_is_a_script_that_its_shell_can_read(script: str) -> None:
    shell = re.match(r"#!/bin/(bash|sh)\n", script)
    assert shell
    checked = subprocess.run([shell[1], "-n"], input=script, text=True, capture_output=True)
    assert (checked.returncode, checked.stderr) == (0, ""), sys.platform


def test_nothing_but_two_parameters_gets_into_the_servers_user_data() -> None:
    # ${…} of the shell's own would be taken away.
    assert set(re.findall(r"\$\{(\w+)\}", user_data()[0])) == {"Domain", "ClientIp"}


def ran(script: str, **programs: str) -> tuple[int, list[str]]:
    """Return how user data ends, and what it called: functions stand in for the programs."""
    calls = {"postconf": ":", "systemctl": ":", "dnf": ":", "touch": ":"} | programs
    functions = [
        f'{name}() {{ echo "{name} $*"; {what}; }}\n' for name, what in calls.items() if what
    ]
    done = subprocess.run(
        ["bash"], input="".join(functions) + script, text=True, capture_output=True
    )
    return done.returncode, done.stdout.splitlines()


def test_user_data_leads_to_the_tutorials_starting_point() -> None:
    status, called = ran(user_data()[0])
    assert status == 0
    # Amazon Linux 2023's package makes a certificate, and its main.cf offers TLS.
    tls = "postconf -X smtpd_tls_security_level smtpd_tls_cert_file smtpd_tls_key_file"
    assert tls in called and "postconf -e inet_interfaces = all" in called
    assert max(called.index(one) for one in called if one.startswith("postconf")) < called.index(
        "systemctl restart postfix"
    )


@pytest.mark.parametrize("script", user_data(), ids=["server", "client"])
def test_user_data_that_ran_to_the_end_leaves_its_mark(script: str) -> None:
    status, called = ran(script)
    assert (status, called[-1]) == (0, f"touch {READY}")


@pytest.mark.slow
@pytest.mark.parametrize(
    "programs",
    [
        {"command": "return 1", "dnf": "return 1"},
        {"postconf": "return 1"},
        {"systemctl": "return 1"},
    ],
)
def test_user_data_that_failed_leaves_no_mark(programs: dict[str, str]) -> None:
    status, called = ran(user_data()[0], **programs)
    assert status == 1 and not any(one.startswith("touch") for one in called)
