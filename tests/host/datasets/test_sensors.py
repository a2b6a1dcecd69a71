"""Files of sounds and of readings: a model gets what boards make of them, and mistakes name the file."""

import bitreplay
import numpy as np
import pytest
import soundfile
from bitreplay_host.datasets import hapt, sensors
from bitreplay_host.errors import UserError
from synthetic_data import tone, write_wav

SOUND = 32, 32, 3


def picture(path, shape=SOUND):
    (found,), note = sensors.of_sound(path, shape)
    assert found.shape == shape and found.dtype == np.uint8
    return found


def told(read, *arguments, name="a."):
    with pytest.raises(UserError) as error:
        read(*arguments)
    assert "\n" not in str(error.value) and name in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("rate", [8000, 16000])
def test_recordings_are_a_boards_pictures(rate, tmp_path):
    samples = tone(rate=rate)
    assert picture(write_wav(tmp_path / "a.wav", samples, rate)).tobytes() == bytes(bitreplay.logmel(rate).of(samples))
    assert picture(tmp_path / "a.wav", (32, 32, 1)).tobytes() == bytes(bitreplay.logmel(rate, 1).of(samples))


def test_channels_are_mixed_and_all_widths_are_read(tmp_path):
    """The same picture, to the bit, of stereo, and of 24 and 32 bits; nearly so of 8."""
    path, samples = tmp_path / "a.wav", tone()
    expected = picture(write_wav(path, samples))
    both = np.stack([samples + 900, samples - 900], axis=1).astype("<i2")
    assert (picture(write_wav(path, both, channels=2)) == expected).all()
    for width in 3, 4:
        words = (samples.astype("<i4") << 16).view(np.uint8).reshape(-1, 4)[:, 4 - width :]
        assert (picture(write_wav(path, words, width=width)) == expected).all()
    found = picture(write_wav(path, (samples // 256 + 128).astype(np.uint8), width=1))
    assert abs(found.astype(int) - expected)[expected > 200].max() < 3


@pytest.mark.parametrize(
    ("suffix", "subtype"), [("wav", "FLOAT"), ("wav", "PCM_24"), ("flac", "PCM_16"), ("flac", "PCM_24")]
)
def test_other_files_of_the_same_samples_are_the_same_picture(suffix, subtype, tmp_path):
    expected = picture(write_wav(tmp_path / "a.wav", tone()))
    soundfile.write(tmp_path / f"b.{suffix}", tone() / 32768, 8000, subtype)
    assert (picture(tmp_path / f"b.{suffix}") == expected).all()


def test_compressed_files_are_nearly_the_same_picture(tmp_path):
    expected = picture(write_wav(tmp_path / "a.wav", tone())).astype(int)
    soundfile.write(tmp_path / "b.ogg", tone() / 32768, 8000)
    assert abs(picture(tmp_path / "b.ogg") - expected)[expected > 200].max() < 9


@pytest.mark.parametrize("subtype", ["GSM610", "G721_32", "NMS_ADPCM_16"])
def test_files_that_cannot_seek_are_read(subtype, tmp_path):
    soundfile.write(tmp_path / "a.wav", tone() / 32768, 8000, subtype)
    write_wav(tmp_path / "b.wav", tone())
    loud = picture(tmp_path / "b.wav").astype(int).mean(axis=1).argmax(axis=0)
    assert (picture(tmp_path / "a.wav").astype(int).mean(axis=1).argmax(axis=0) == loud).all()


@pytest.mark.parametrize("error", [ValueError, soundfile.SoundFileRuntimeError, MemoryError])
def test_whatever_a_recording_raises_names_it(error, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise error("odd")

    monkeypatch.setattr(soundfile.SoundFile, "read", fail)
    path = write_wav(tmp_path / "a.wav", tone())
    assert "a.wav is not a sound that can be read (odd): save it as WAV" in told(sensors.of_sound, path, SOUND)


def test_a_flac_that_is_cut_off_is_told(tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, np.random.default_rng(1).uniform(-1, 1, 16000), 16000)
    path.write_bytes(path.read_bytes()[:16000])
    assert "a.flac is not a sound that can be read (" in told(sensors.of_sound, path, SOUND)


@pytest.mark.parametrize("rate", [11025, 22050, 44100, 48000])
def test_other_rates_are_resampled(rate, tmp_path):
    """A tone keeps its bands, and one above them is not folded into them."""
    path = tmp_path / "a.wav"
    expected = picture(write_wav(path, tone(rate=16000), 16000)).astype(int)
    found = picture(write_wav(path, tone(rate=rate), rate))
    assert abs(found - expected)[expected > 128].max() < 8
    if rate > 32000:
        found = picture(write_wav(path, tone(rate=rate) + tone(14000, rate=rate), rate))
        assert abs(found - expected)[expected > 128].max() < 8
        assert (found[:8] < 100).all()  # where 2 kHz would be, and what is above


def test_broken_recordings_are_told(tmp_path):
    path = tmp_path / "a.wav"
    whole = write_wav(path, tone()).read_bytes()
    cases = {
        "is not a sound that can be read": (b"", b"no", whole[:20], whole[:20] + b"\3" + whole[21:]),
        "is cut off: it tells of 6400 bytes of sound, and has 6200": (whole[:-200],),
    }
    for message, contents in cases.items():
        for content in contents:
            path.write_bytes(content)
            assert message in told(sensors.of_sound, path, SOUND)
    write_wav(path, tone(seconds=0.02))
    assert "is too short: it must have 32 ms of sound" in told(sensors.of_sound, path, SOUND)
    for rate in 8000, 44100:
        write_wav(path, tone(seconds=0), rate)
        assert "is too short" in told(sensors.of_sound, path, SOUND)
    soundfile.write(path, np.append(tone() / 32768, np.nan), 8000, "FLOAT")
    assert "has samples that are not finite" in told(sensors.of_sound, path, SOUND)
    write_wav(path, tone(), 4000)
    assert "has 4000 samples a second: 8000 are needed" in told(sensors.of_sound, path, SOUND)
    assert "sound is pictures of 32x32, and the model's are 8x8x3" in told(sensors.of_sound, path, (8, 8, 3))


def test_silence_is_a_picture(tmp_path):
    assert not picture(write_wav(tmp_path / "a.wav", np.zeros(4000, np.int16))).any()


def write(path, readings, form="%d", header=""):
    np.savetxt(path, readings, form, ",", header=header, comments="")
    return path


def test_readings_are_a_boards_pictures(tmp_path):
    """And those of HAPT, as the shipped model was trained on."""
    readings = np.random.default_rng(1).integers(-20000, 20000, (200, 6))
    found, _ = sensors.of_csv(write(tmp_path / "a.csv", readings, header="ax,ay,az,gx,gy,gz"), SOUND)
    window, expected = bitreplay.window(), []
    for reading in readings:
        if window.add(list(map(int, reading))):
            expected.append(bytes(window.image()))
    assert [one.tobytes() for one in found] == expected and len(expected) == 2
    assert found[0].tobytes() == hapt.to_images(readings[None, :128].astype(np.int16)).tobytes()


def test_readings_in_other_units(tmp_path):
    """In g and degrees per second they are the same pictures; one sensor has all rows."""
    readings = np.random.default_rng(1).integers(-20000, 20000, (128, 6))
    expected = sensors.of_csv(write(tmp_path / "a.csv", readings), SOUND)[0]
    write(tmp_path / "a.csv", readings / ([16384] * 3 + [65.536] * 3), "%.9f")
    found = sensors.of_csv(tmp_path / "a.csv", SOUND, (1 / 64, 128 / 65.536))[0]
    assert (found[0] == expected[0]).mean() > 0.99
    window = bitreplay.window((256,))
    for reading in readings[:, :3]:
        window.add(list(map(int, reading)))
    write(tmp_path / "a.csv", readings[:, :3])
    assert sensors.of_csv(tmp_path / "a.csv", SOUND, (256,))[0][0].tobytes() == bytes(window.image())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "1,2,3\n",
            "a.csv, line 1: must be 6 numbers with commas, x, y, z of each sensor, at most 1e+30; it is '1,2,3'",
        ),
        ("a,b,c,d,e,f\n\n1,2,3,4,5,x\n", "a.csv, line 3: must be 6 numbers"),
        ("1,2,3,4,5,x\n", "a.csv, line 1: must be 6 numbers"),
        ("1,2,3,4,5,nan\n", "a.csv, line 1: must be 6 numbers"),
        (f"1,2,3,4,5,6\n1,2,3,4,5,{'6' * 400}\n", "a.csv, line 2: must be 6 numbers"),
        ("1;2;3;4;5;6\n1;2;3;4;5;6\n", "a.csv, line 2: must be 6 numbers with commas"),
        ("1,2,3,4,5,6\n" * 127, "a.csv is too short: it has 127 readings, and a window 128"),
        ("", "a.csv is too short: it has 0 readings"),
        ("0,0,1.0,0,0,0\n" * 130, "a.csv: its readings are too small for units of 256 128; if they are in g"),
        ("0,0,99999,-99999,99999,0\n" * 130, "a.csv: its readings are too large for units of 256 128"),
        ("\0", "a.csv"),
        ("\udcff", "a.csv is not a CSV file that can be read"),
    ],
)
def test_broken_readings_are_told(content, message, tmp_path):
    (tmp_path / "a.csv").write_bytes(content.encode(errors="surrogateescape"))
    assert message in told(sensors.of_csv, tmp_path / "a.csv", SOUND)


def test_readings_need_a_model_for_them(tmp_path):
    path = write(tmp_path / "a.csv", np.zeros((128, 6)))
    assert "readings are pictures of 32x32x3, and the model's are 32x32x1" in told(sensors.of_csv, path, (32, 32, 1))
    assert "units: must be a tuple of 1, 2 or 4 numbers above 0" in told(
        sensors.of_csv, path, SOUND, (1, 2, 3), name="units"
    )
