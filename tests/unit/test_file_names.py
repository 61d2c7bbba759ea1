"""What a file is called and what it is, whatever a client, a URL or a model says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.file_names import checked_type, file_name, is_shown_in_place, media_type, name_of_url


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a.txt", "a.txt"),
        ("/tmp/out/a.txt", "a.txt"),
        ("..\\..\\a.txt", "a.txt"),
        ("folder/", "folder"),
        ("a\0b\r\n.txt", "a_b__.txt"),
        ("", "file"),
        (".", "file"),
        ("...", "file"),
        ("   ", "file"),
        (".bashrc", ".bashrc"),
        ("ü" * 300 + ".png", "ü" * 98 + ".png"),
        ("x" * 300, "x" * 200),
        ("a." + "x" * 300, "a." + "x" * 198),
        ("half\ud800.txt", "half_.txt"),
    ],
)
def test_a_name_has_no_folders_and_no_control_characters_and_is_not_long(text: str, name: str) -> None:
    assert file_name(text) == name


@given(st.text())
def test_every_text_gives_a_name_a_file_system_takes(text: str) -> None:
    name = file_name(text)
    assert 0 < len(name.encode()) <= 200
    assert "/" not in name
    assert "\0" not in name
    assert name not in (".", "..")
    assert file_name(name) == name


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://host.test/a/cat.png?size=1#top", "cat.png"),
        ("https://host.test/a%20cat.png", "a cat.png"),
        ("https://host.test/a%2Fb%00.png", "a_b_.png"),
        ("https://host.test/..%2f..%2fetc%2fpasswd", ".._.._etc_passwd"),
        ("https://host.test", "file"),
        ("https://host.test/folder/", "file"),
        ("https://[::1/a.png", "file"),
        ("data:image/png;base64,AAAA", "file.png"),
        ("data:image/webp,x", "file.webp"),
        ("DATA:text/plain;charset=utf-8,x", "file.txt"),
        ("data:application/x-of-nobody,x", "file"),
        ("data:,x", "file"),
    ],
)
def test_a_file_is_called_what_its_address_ends_with(url: str, name: str) -> None:
    assert name_of_url(url) == name


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("a.png", b"", "image/png"),
        ("a.json", b"\x89PNG\r\n\x1a\n", "application/json"),
        ("a", b"\x89PNG\r\n\x1a\nrest", "image/png"),
        ("a", b"\xff\xd8\xff\xe0", "image/jpeg"),
        ("a.unknown", b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        ("a", b"RIFF\0\0\0\0WAVEfmt ", "audio/x-wav"),
        ("a", b"\0\0\0\x20ftypisom", "video/mp4"),
        ("a", b"hello", "application/octet-stream"),
        ("a.tar.gz", b"\x1f\x8b", "application/octet-stream"),
        ("a", b"", "application/octet-stream"),
    ],
)
def test_a_type_is_told_by_the_name_or_else_by_the_first_bytes(name: str, head: bytes, kind: str) -> None:
    assert media_type(name, head) == kind


@pytest.mark.parametrize("kind", ["image/png", "audio/mpeg", "video/mp4", "text/plain; charset=utf-8"])
def test_pictures_sound_and_text_are_shown_in_place(kind: str) -> None:
    assert is_shown_in_place(kind)


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "application/xhtml+xml", "application/octet-stream"])
def test_what_can_hold_a_script_is_not_shown_in_place(kind: str) -> None:
    assert not is_shown_in_place(kind)


@pytest.mark.parametrize("text", ["", "png", "image/", "image/png\r\nX: y", "a/b/c", "image/png; x=<script>", "ü/x"])
def test_what_is_no_media_type_is_not_taken_for_one(text: str) -> None:
    assert checked_type(text) is None


@pytest.mark.parametrize("text", ["image/png", "text/plain; charset=utf-8", " application/vnd.api+json "])
def test_a_media_type_is_kept(text: str) -> None:
    assert checked_type(text) == text.strip()
