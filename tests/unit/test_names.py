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
