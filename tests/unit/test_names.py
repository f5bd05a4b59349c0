import pytest

from handson.cloud.names import Names


def test_the_tutorials_names() -> None:
    names = Names("20250101")
    assert names.server_group == "sg_20250101-smtp-handson-smtp-server"
    assert names.server == "20250101-smtp-handson-server"
    assert names.client == "20250101-smtp-handson-client"
    assert names.pri_sub_stack == "smtp-handson-pri-sub-20250101"
    assert names.client_stack == "smtp-handson-client-20250101"


def test_the_stranger_is_named_as_the_client_is() -> None:
    names = Names("20250101")
    assert names.stranger == "20250101-smtp-handson-stranger"
    assert names.stranger_stack == "smtp-handson-stranger-20250101"
    assert names.stranger_group == "sg_20250101-smtp-handson-smtp-stranger"


def test_what_the_tutorial_does_not_name() -> None:
    names = Names("20250101")
    assert names.network_stack == "smtp-handson-network-20250101"
    assert names.server_stack == "smtp-handson-server-20250101"
    assert names.client_group == "sg_20250101-smtp-handson-smtp-client"
    assert names.key == "smtp-handson-20250101"
    assert names.tags == {"Project": "smtp-handson", "Date": "20250101"}


def test_a_learners_name_follows_the_day_in_every_name() -> None:
    names = Names("20250101", "ayumi-2")
    assert names.server == "20250101-ayumi-2-smtp-handson-server"
    assert names.server_group == "sg_20250101-ayumi-2-smtp-handson-smtp-server"
    assert names.pri_sub_stack == "smtp-handson-pri-sub-20250101-ayumi-2"
    assert names.key == "smtp-handson-20250101-ayumi-2"
    plain = Names("20250101")
    for name in (one for one in dir(Names) if isinstance(getattr(Names, one), property)):
        assert getattr(names, name) != getattr(plain, name) or name == "tags", name


@pytest.mark.parametrize("learner", ["", "a", "b-a", "20250101", "a-20250101", "server"])
def test_whose_a_stack_is_is_read_from_its_name(learner: str) -> None:
    names = Names("20250101", learner)
    others = {"", "a", "b-a", "20250101", "a-20250101", "server"} - {learner}
    for day in ("20250101", "20250102"):
        mine = Names(day, learner)
        assert all(map(names.own, (mine.network_stack, mine.pri_sub_stack, mine.key)))
        theirs = [Names(day, other) for other in others]
        assert not any(names.own(name) for one in theirs for name in (one.pri_sub_stack, one.key))
    assert not names.own("another")
