import shlex
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.stub import Stubber

from handson import begin
from handson.cloud.client import Aws
from handson.cloud.cloud import Cloud
from handson.cloud.stacks import IMAGES, TEMPLATES, Stacks, plan
from handson.course.steps.start import Start
from handson.errors import CloudError, StackFailed
from handson.settings import SYSTEMS, Settings
from handson.ui.view import Table
from handson.workspace import Workspace

SETTINGS = Settings(date="20250101", domain="example.org", vpc_cidr="10.99.0.0/16")
NOW = datetime(2025, 1, 1, tzinfo=UTC)


def test_the_order_of_the_plan() -> None:
    assert [p.name for p in plan(SETTINGS, "key", "203.0.113.5")] == [
        "smtp-handson-network-20250101",
        "smtp-handson-server-20250101",
        "smtp-handson-pri-sub-20250101",
        "smtp-handson-client-20250101",
        "smtp-handson-stranger-20250101",
    ]


def test_parameters_are_given_or_taken() -> None:
    _network, server, *_others = plan(SETTINGS, "key", "203.0.113.5")
    outputs = {"smtp-handson-network-20250101": {"VpcId": "vpc-1", "PublicSubnetId": "subnet-1"}}
    assert server.parameters(outputs) == {
        "Date": "20250101",
        "VpcCidr": "10.99.0.0/16",
        "ClientIp": "10.99.3.20",
        "ServerIp": "10.99.2.44",
        "OwnIp": "203.0.113.5",
        "Domain": "example.org",
        "KeyName": "key",
        "ImageId": "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64",
        "VpcId": "vpc-1",
        "SubnetId": "subnet-1",
    }


def test_the_stranger_is_a_client_of_another_name_and_address() -> None:
    client, stranger = plan(SETTINGS, "key", "203.0.113.5")[3:]
    assert (client.template, client.taken) == (stranger.template, stranger.taken)
    assert set(stranger.given.items()) - set(client.given.items()) == {
        ("Role", "stranger"),
        ("ClientIp", "10.99.3.30"),
    }


def test_a_stack_before_its_turn_is_refused() -> None:
    client = plan(SETTINGS, "key", "203.0.113.5")[3]
    with pytest.raises(CloudError, match="needs smtp-handson-network-20250101") as caught:
        client.parameters({})
    assert "order" in caught.value.cure


def test_templates_are_there() -> None:
    assert all(
        isinstance(p.template, Path) and p.template.is_file() for p in plan(SETTINGS, "", "")
    )


def test_each_system_that_can_be_chosen_has_an_image() -> None:
    assert set(IMAGES) == set(SYSTEMS)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """The first step, whose hosts nobody looks at; the API is shared, so its stacks go again."""
    step = begin("00_start", Workspace("meadow", tmp_path / "meadow"))
    assert isinstance(step, Start)
    step.__dict__["hosts"] = SimpleNamespace(server=None, client=None, stranger=None)
    yield step
    step.cloud.delete_all()


def test_hosts_that_were_made_with_other_choices_are_named(
    cloud_of: Callable[..., Cloud], start: Start
) -> None:
    def create(own_ip: str = "203.0.113.5", **choices: str) -> Table:
        cloud = cloud_of("20250202", own_ip=own_ip, **choices)
        start.__dict__ |= {"cloud": cloud, "settings": cloud.settings}
        shown = start.create()
        assert [row[2] for row in shown.rows] == ["CREATE_COMPLETE"] * 5
        return shown

    for shown in (create(), create()):
        assert shown.title == "" and set(shown.tones) == {""}
    shown = create(domain="alps.example", user="another")
    assert "(Domain=example.com)" in shown.title
    assert "handson reset --hard --name meadow" in shown.title
    assert set(shown.tones) == {"warn"}
    assert {stack.parameters.get("AvailabilityZone") for stack in start.cloud.stacks()} == {
        "ap-northeast-1a",
        None,
    }
    # Whoever has another address now is let in from there, and not kept out.
    shown = create(own_ip="203.0.113.6")
    assert shown.title == "" and set(shown.tones) == {""}
    assert [r.source for r in start.cloud.rules() if r.port == "22"] == ["203.0.113.6/32"]


# -- stacks that did not get there ---------------------------------------------------

NAME, ID = "smtp-handson-network-20250101", "arn:aws:cloudformation:ap-northeast-1:1:stack/n/1"


def seen(stubber: Stubber, status: str, resource: str = "") -> None:
    """Have CloudFormation tell of the stack, and of the event that put a resource there."""
    stack = {"StackName": NAME, "StackId": ID, "CreationTime": NOW, "StackStatus": status}
    stubber.add_response("describe_stacks", {"Stacks": [stack]})
    events = [
        {
            "StackId": ID,
            "StackName": NAME,
            "EventId": one,
            "Timestamp": NOW,
            "PhysicalResourceId": "vpc-1",
            "LogicalResourceId": "Vpc",
            "ResourceStatus": one,
            "ResourceStatusReason": "The vpc 'vpc-1' has dependencies",
        }
        for one in [resource]
        if one
    ]
    for _more in range(2 if resource else 0):
        stubber.add_response("describe_stack_events", {"StackEvents": events})


@pytest.mark.parametrize(
    ("status", "event", "cure"),
    [
        ("ROLLBACK_COMPLETE", "CREATE_FAILED", "what is left of the attempt is deleted then"),
        ("ROLLBACK_FAILED", "DELETE_FAILED", "the rest of the attempt could not be deleted"),
        ("CREATE_FAILED", "CREATE_FAILED", "what is left of the attempt is deleted then"),
    ],
)
def test_a_stack_that_was_not_made_says_what_to_do(
    connection: dict[str, Any], status: str, event: str, cure: str
) -> None:
    stacks = Stacks(Aws("ap-northeast-1", connection))
    network = plan(SETTINGS, "", "")[0]
    with Stubber(stacks.aws._client("cloudformation")) as api:
        api.add_client_error("describe_stacks", "ValidationError", f"{NAME} does not exist")
        api.add_response("create_stack", {"StackId": ID})
        seen(api, status, event)
        with pytest.raises(StackFailed) as caught:
            stacks.create(NAME, network.template, network.given, {}, lambda _sentence: None)
        api.assert_no_pending_responses()
    assert caught.value.what == (
        f"The stack {NAME} ended in {status}. Vpc: The vpc 'vpc-1' has dependencies"
    )
    assert cure in caught.value.cure


def test_a_stack_that_was_not_deleted_says_what_to_do(connection: dict[str, Any]) -> None:
    stacks = Stacks(Aws("ap-northeast-1", connection))
    with Stubber(stacks.aws._client("cloudformation")) as api:
        seen(api, "CREATE_COMPLETE")
        api.add_response("describe_stack_events", {"StackEvents": []})
        api.add_response("delete_stack", {})
        seen(api, "DELETE_FAILED", "DELETE_FAILED")
        with pytest.raises(StackFailed) as caught:
            stacks.delete(NAME, lambda _sentence: None)
        api.assert_no_pending_responses()
    assert "DELETE_FAILED. Vpc: The vpc 'vpc-1' has dependencies" in caught.value.what
    assert "Delete in the console what the reason names" in caught.value.cure


@pytest.mark.parametrize("status", ["DELETE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED"])
def test_a_stack_left_over_is_deleted_before_it_is_made_anew(
    connection: dict[str, Any], status: str
) -> None:
    stacks, said = Stacks(Aws("ap-northeast-1", connection)), []
    network = plan(SETTINGS, "", "")[0]
    with Stubber(stacks.aws._client("cloudformation")) as api:
        for _twice in range(2):
            seen(api, status)
        api.add_response("describe_stack_events", {"StackEvents": []})
        api.add_response("delete_stack", {})
        for settled in ("DELETE_COMPLETE", "CREATE_COMPLETE"):
            if settled == "CREATE_COMPLETE":
                api.add_response("create_stack", {"StackId": ID})
            seen(api, settled)
            api.add_response("describe_stack_events", {"StackEvents": []})
        made = stacks.create(NAME, network.template, network.given, {}, said.append)
        api.assert_no_pending_responses()
    assert made.is_complete
    assert said[0] == f"{NAME}: it is in {status}, so it is deleted first"


@pytest.mark.slow
def test_by_hand_each_stack_gets_what_the_library_gives_it(
    cloud_of: Callable[..., Cloud], start: Start
) -> None:
    cloud = cloud_of("20250203", own_ip="203.0.113.5", learner="ayumi")
    start.__dict__ |= {"cloud": cloud, "settings": cloud.settings}
    assert start.stacks_by_hand().commands == [] and start.console_by_hand().rows == []
    passed: list[dict[str, Any]] = []
    events = cloud._aws._client("cloudformation").meta.events
    point = "provide-client-params.cloudformation.CreateStack"

    def record(params: dict[str, Any], **_kwargs: Any) -> None:
        passed.append(params)

    events.register(point, record)
    try:
        start.create()
    finally:
        events.unregister(point, record)
    words = [shlex.split(one.command) for one in start.stacks_by_hand().commands]
    shown: dict[str, list[list[str]]] = {}
    for row in start.console_by_hand().rows:
        stack = row[0] or next(reversed(shown))
        shown.setdefault(stack, []).append(row)
    assert len(passed) == len(words) == 5
    for typed, params in zip(words, passed, strict=True):
        assert typed[:5] == ["aws", "cloudformation", "create-stack", "--region", "ap-northeast-1"]
        assert typed[typed.index("--stack-name") + 1] == params["StackName"]
        file = typed[typed.index("--template-body") + 1].removeprefix("file://")
        assert (TEMPLATES.parent / file).read_text() == params["TemplateBody"]
        given = typed[typed.index("--parameters") + 1 : typed.index("--tags")]
        parameters = [
            f"ParameterKey={one['ParameterKey']},ParameterValue={one['ParameterValue']}"
            for one in params["Parameters"]
        ]
        assert sorted(given) == sorted(parameters)
        assert typed[typed.index("--tags") + 1 :] == [
            f"Key={one['Key']},Value={one['Value']}" for one in params["Tags"]
        ]
        rows = shown[params["StackName"]]
        assert rows[0][1] == file
        assert {(row[2], row[3]) for row in rows} == {
            (one["ParameterKey"], one["ParameterValue"]) for one in params["Parameters"]
        }
