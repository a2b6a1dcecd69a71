"""device/upload.py on a board without ROMFS: which files a model replaces, and which are the user's."""

import struct

import pytest
from bitreplay_host.device import upload
from bitreplay_host.device.board import NEW
from bitreplay_host.errors import UserError


def safetensors(header):
    return struct.pack("<Q", len(header)) + header


def test_a_model_replaces_a_model(board, files, small_model):
    content = small_model.read_bytes()
    (files / "a.safetensors").write_bytes(content)
    for name in (f"a.safetensors{NEW}", "a.safetensors.new"):
        (files / name).write_text(name)
    upload.to_files(board, "/a.safetensors", content[:-4] + b"more")
    assert (files / "a.safetensors").read_bytes() == content[:-4] + b"more"
    assert sorted(path.name for path in files.iterdir()) == ["a.safetensors", "a.safetensors.new"]


@pytest.mark.parametrize(
    "there",
    [
        safetensors(b'{"__metadata__": {"format": "bitreplay-learner", "version": "1"}}'),
        safetensors(b'{"__metadata__": {"format": "pt"}}'),
        safetensors(b'{"__metadata__": {}}'),
        safetensors(b'{"__metadata__": "bitreplay-model"}'),
        safetensors(b'["bitreplay-model"]'),
        safetensors(b"[" * 65000),
        safetensors(b'{"bitreplay-model'),
        safetensors(b"\xff\xfe bitreplay-model"),
        struct.pack("<Q", 1 << 60) + b"bitreplay-model",
        b"my notes",
        b"",
    ],
)
def test_what_is_no_model_stays(board, files, small_model, there):
    (files / "me.safetensors").write_bytes(there)
    with pytest.raises(
        UserError, match=r"^/me.safetensors is on the board and is not a model of BitReplay: .* --name$"
    ):
        upload.to_files(board, "/me.safetensors", small_model.read_bytes())
    assert (files / "me.safetensors").read_bytes() == there
    assert [path.name for path in files.iterdir()] == ["me.safetensors"]


def test_a_folder_stays(board, files, small_model):
    (files / "me.safetensors").mkdir()
    with pytest.raises(UserError, match=r"^/me.safetensors is on the board"):
        upload.to_files(board, "/me.safetensors", small_model.read_bytes())
