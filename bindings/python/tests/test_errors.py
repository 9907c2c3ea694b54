"""The exceptions: what each status becomes, and what kind of exception each is."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator

import pytest

import skyline
from harness import Install
from skyline import _errors, _native


def below(cls: type[skyline.SkylineError]) -> Iterator[type[skyline.SkylineError]]:
    """All exception classes below `cls`."""
    for subclass in cls.__subclasses__():
        yield subclass
        yield from below(subclass)


STATUSES = [
    # Of the seed.
    ("OUTDATED_VERSION", skyline.OutdatedVersion, "Версия ПО устарела."),
    ("KEY_BOUND_TO_ANOTHER_DEVICE", skyline.KeyBoundToAnotherDevice, "Ключ привязан."),
    # Beside them.
    ("BAD_REQUEST", skyline.BadRequest, "Bad."),
    ("UNKNOWN_METHOD", skyline.UnknownMethod, "Unknown."),
    ("INVALID_SESSION", skyline.InvalidSession, "Invalid."),
    ("LICENSE_NOT_FOUND", skyline.LicenseNotFound, "Not found."),
    ("LICENSE_EXPIRED", skyline.LicenseExpired, "Expired."),
    ("LICENSE_SUSPENDED", skyline.LicenseSuspended, "Suspended."),
    ("RATE_LIMITED", skyline.RateLimited, "Slower."),
    ("INTERNAL_ERROR", skyline.InternalError, "Failed."),
    ("SOMETHING_NEW", skyline.UnknownStatus, "New."),
]


@pytest.mark.parametrize(("status", "cls", "message"), STATUSES)
async def test_each_status_is_an_exception_of_its_own(
    status: str, cls: type[skyline.StatusError], message: str, install: Install
) -> None:
    async with install.client() as client:
        with pytest.raises(skyline.StatusError) as failure:
            await client.call("test.status", {"status": status, "message": message})
        assert type(failure.value) is cls
        assert failure.value.status == status
        assert failure.value.server_message == message
        assert message in str(failure.value)
        # Without a sentence of the server's the exception still says what to do.
        with pytest.raises(cls) as silent:
            await client.call("test.status", {"status": status, "message": None})
        assert silent.value.server_message is None
        assert len(str(silent.value)) > 20


async def test_the_servers_breach_is_a_breach_with_its_sentence(install: Install) -> None:
    sentence = "Нарушена целостность программного обеспечения."
    async with install.client() as client:
        with pytest.raises(skyline.IntegrityBreach) as breach:
            await client.call("test.status", {"status": "INTEGRITY_BREACH", "message": sentence})
    assert (breach.value.status, str(breach.value)) == ("INTEGRITY_BREACH", sentence)


async def test_a_suspended_license_is_refused(install: Install) -> None:
    install.server.admin("license", "suspend", install.license_key)
    with pytest.raises(skyline.LicenseSuspended) as refused:
        await install.client(language="russian").connect()
    assert refused.value.server_message


async def test_a_rate_limit_says_how_long_to_wait(install: Install) -> None:
    request = {"status": "RATE_LIMITED", "message": "Slower.", "retryAfterSeconds": 17}
    async with install.client() as client:
        with pytest.raises(skyline.RateLimited) as limited:
            await client.call("test.status", request)
        assert limited.value.retry_after == 17.0
        with pytest.raises(skyline.RateLimited) as limited:
            await client.call("test.status", {"status": "RATE_LIMITED", "message": None})
        assert limited.value.retry_after is None


def test_each_kind_of_failure_has_a_class_with_its_code() -> None:
    assert [*_errors._CLASSES] == [*_native.FailureKind]
    for kind, cls in _errors._CLASSES.items():
        assert cls.code == kind.name
    named = {cls for cls in below(skyline.SkylineError) if cls is not skyline.StatusError}
    assert set(_errors._CLASSES.values()) == named


def test_all_exceptions_are_public_and_documented() -> None:
    for cls in below(skyline.SkylineError):
        assert getattr(skyline, cls.__name__) is cls
        assert cls.__name__ in skyline.__all__
        assert cls.__doc__


@pytest.mark.parametrize(
    ("cls", "builtin"),
    [
        (skyline.InvalidConfiguration, ValueError),
        (skyline.ConnectionFailed, ConnectionError),
        (skyline.ConnectionLost, ConnectionError),
        (skyline.DeadlineExceeded, TimeoutError),
        (skyline.PayloadError, ValueError),
        (skyline.PacketTooLarge, ValueError),
    ],
)
def test_an_exception_is_also_what_python_calls_it(cls: type, builtin: type) -> None:
    assert issubclass(cls, builtin)


async def test_an_exception_survives_copying_and_pickling(install: Install) -> None:
    async with install.client() as client:
        with pytest.raises(skyline.DeadlineExceeded) as failure:
            await client.call("test.delay", {"milliseconds": 5000}, deadline=0.05)
    original = failure.value
    for twin in (copy.copy(original), pickle.loads(pickle.dumps(original))):
        assert type(twin) is skyline.DeadlineExceeded
        assert str(twin) == str(original)
        assert vars(twin) == vars(original)


async def test_a_failure_shows_nothing_of_the_generated_code(install: Install) -> None:
    async with install.client() as client:
        with pytest.raises(skyline.UnknownMethod) as failure:
            await client.call("no-such-method")
    assert failure.value.__cause__ is None
    assert failure.value.__suppress_context__
