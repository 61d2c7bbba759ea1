"""Where packages come from: what is set for pip, told to uv.

Nothing is installed.
"""

import pytest

from shared.package_sources import read_pip_settings, translate


def test_find_links_separated_by_spaces_for_pip_are_separated_by_commas_for_uv() -> None:
    settings = translate({"find-links": "/wheels  \n https://wheels.example/cpu"})
    assert settings == {"UV_FIND_LINKS": "/wheels,https://wheels.example/cpu"}


def test_a_home_folder_in_find_links_is_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert translate({"find-links": "~/wheels"})["UV_FIND_LINKS"] == "/home/ada/wheels"


def test_an_index_and_a_certificate_reach_uv() -> None:
    assert translate({"index-url": "https://a", "cert": "/b"}) == {
        "UV_DEFAULT_INDEX": "https://a",
        "SSL_CERT_FILE": "/b",
    }


def test_pips_environment_wins_over_its_files() -> None:
    listing = ":env:.find-links='/env'\nglobal.find-links='/global'\nglobal.cert='/cert'\ninstall.cert='/install'\n"
    assert read_pip_settings(listing) == {"find-links": "/env", "cert": "/install"}


def test_settings_of_other_pip_commands_are_left_out() -> None:
    assert read_pip_settings("download.find-links='/other'\nnonsense\n") == {}
