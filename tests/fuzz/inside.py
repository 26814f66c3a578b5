"""A fuzzer that sits inside SK with the real keys, in every state and in either role.

    python -m tests.fuzz.inside --seconds 60            all processors
    python -m tests.fuzz.inside --replay 4711           one seed, and what it did

A seed decides everything: how far two hosts have come, who is spoken to, and a few messages that
begin as genuine ones and are changed in their order, their fields, their octets or their fragments,
and are then sealed with the true keys. Whatever they say,

- nothing raises,
- no SA is installed but for a peer whose AUTH was verified, and only the genuine one can be,
- nothing grows without bound, and nobody is made to send much,
- in the end the IKE SA is the same on both sides, or it has ended with an outcome that is told.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest

from hushwire.explain.outcome import ClosedByUs, Failure
from hushwire.ike.effects import Effect, InstallSa, Send
from hushwire.ike.fragments import Opened
from hushwire.ike.inputs import Limits
from hushwire.ike.proofs import VerifiedPeer
from hushwire.ike.states import AuthSent, Closed, Established, HalfOpen
from hushwire.sa.association import Path
from hushwire.wire.errors import WireError
from hushwire.wire.ike.header import Header
from hushwire.wire.ike.message import Payload, first, parse_chain
from hushwire.wire.ike.payloads.authentication import Authentication
from hushwire.wire.ike.payloads.delete import Delete
from hushwire.wire.ike.payloads.encrypted import Part
from hushwire.wire.ike.payloads.identification import IdInitiator, IdResponder
from hushwire.wire.ike.payloads.notify import Notify
from hushwire.wire.registry import ExchangeType, NotifyType, ProtocolId
from tests.sim.network import Host
from tests.sim.stages import Insider, Scene, Stage, session_of
from tests.wire import samples

AUTH, CREATE, INFO = (
    ExchangeType.IKE_AUTH,
    ExchangeType.CREATE_CHILD_SA,
    ExchangeType.INFORMATIONAL,
)
_MOST_SESSIONS = 12
_MOST_OCTETS_BACK = 70_000
_MOST_EFFECTS = 400
_SEEDS_AT_ONCE = 256
_ENOUGH_FAILED = 5
_INTERESTING = (0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF)
_HELD_BACK = 5  # messages of a connection, and one request after it

RawPayload = tuple[int, int, bytes]


def _held(begin: Callable[[Scene], None]) -> Callable[[], Scene]:
    """Both up, and one more request delivered; its answer is held back."""

    def make() -> Scene:
        scene = Scene(Stage.UP)
        scene._most = _HELD_BACK
        begin(scene)
        scene.network.run(0.1)
        return scene

    return make


def _delete_child(scene: Scene) -> None:
    network, host = scene.network, scene.alice
    turn = host.endpoint._turn(network.now)
    state = session_of(host).state
    assert isinstance(state, Established)
    state.children.delete(state.children.live[0], turn)
    network._carry_out(host, host.endpoint._done(turn))


SCENES: dict[str, Callable[[], Scene]] = {
    **{stage.name: partial(Scene, stage) for stage in list(Stage)[Stage.ANSWERED :]},
    "CHILD REKEYING": _held(lambda scene: scene.network.rekey(scene.alice)),
    "CHILD REKEYED BY BOB": _held(lambda scene: scene.network.rekey(scene.bob)),
    "REKEYED BY BOB": _held(lambda scene: scene.network.rekey(scene.bob, ike=True)),
    "DELETING": _held(_delete_child),
    "ASKING": _held(lambda scene: scene.network.run(25)),
}
"""Where two hosts can be when the messages come."""


@dataclass
class Run:
    """One seed, and what has been said, to be shown when it fails."""

    seed: int
    said: list[str]
    paths: dict[str, Path]  # of what arrives at each host


def live(seed: int) -> Run:
    """Raises whatever is wrong; `AssertionError` for what must hold."""
    rng = random.Random(seed)
    name = rng.choice(list(SCENES))
    scene = SCENES[name]()
    hosts = (scene.alice, scene.bob)
    run = Run(seed, [name], {host.name: scene.path_to(host) for host in hosts})
    try:
        known = _genuine(scene)
        host = rng.choice(hosts)
        for _ in range(rng.choice((1, 1, 1, 2, 3, 5))):
            if not session_of_all(host):
                break
            _speak(scene, host, known, rng, run)
            if rng.random() < 0.2:
                host = scene.bob if host is scene.alice else scene.alice
            if rng.random() < 0.3:
                scene.network.run(rng.choice((0.1, 1.0, 3.0, 40.0)))
        _aftermath(scene)
    except BaseException as error:
        error.add_note("\n".join(run.said))
        raise
    return run


def session_of_all(host: Host) -> bool:
    return any(True for _ in host.endpoint._sessions)


def _speak(
    scene: Scene, host: Host, known: list[tuple[Payload, ...]], rng: random.Random, run: Run
) -> None:
    """One message to this host, as from the other end of the IKE SA."""
    path = run.paths[host.name]
    window = session_of(host).link.window
    response = rng.random() < 0.4
    exchange = rng.choice((AUTH, CREATE, CREATE, INFO, INFO, 34, 43, rng.randrange(256)))
    payloads = rng.choice(known)
    if rng.random() < 0.5:
        response, exchange, payloads = _awaited(host, known, rng)
    off = rng.choice((0, 0, 0, 0, 0, 0, 1, -1, 2**31))
    expected = max(window.next_id - 1, 0) if response else window._expected_id
    header = scene.inside.header(
        exchange, (expected + off) % 2**32, initiator=host is scene.bob, response=response
    )
    number, chain = mutated(rng, payloads)
    run.said.append(
        f"to {host.name}: {exchange} response={response} id+{off} {number} {chain.hex()}"
    )
    effects: list[Effect] = []
    for data in sealed(scene.inside, header, number, chain, rng):
        effects += scene.network.deliver(host, data, path)
        _hold(scene)
    _modest(effects)
    if any(isinstance(effect, InstallSa) for effect in effects) and exchange == AUTH:
        _genuine_proof(Opened(header, 0, number, chain, b""), known[1 if response else 0])


def _awaited(
    host: Host, known: list[tuple[Payload, ...]], rng: random.Random
) -> tuple[bool, int, tuple[Payload, ...]]:
    """What the host waits for in its state: response, exchange, and what could be in it."""
    session = session_of(host)
    if isinstance(session.state, HalfOpen):
        return False, AUTH, known[0]
    if isinstance(session.state, AuthSent):
        return True, AUTH, known[1]
    if session.doing is not None:
        return True, session.doing.exchange, rng.choice(known[2:])
    return False, rng.choice((CREATE, INFO)), rng.choice(known[2:])


def sealed(
    inside: Insider, header: Header, number: int, chain: bytes, rng: random.Random
) -> Iterator[bytes]:
    """Whole, or in fragments that may be in any order, twice, missing or wrong."""
    if rng.random() < 0.7:
        trailer = rng.choice((b"\0",) * 9 + (b"", b"\1\1", b"\xff", bytes(255) + b"\xff"))
        yield inside.seal_chain(header, number, chain, trailer)
        return
    total = rng.randrange(1, 6)
    size = max(1, -(-len(chain) // total))
    parts = [
        (index + 1, total, chain[index * size : (index + 1) * size], 0 if index else number)
        for index in range(total)
    ]
    for _ in range(rng.randrange(4)):
        at = rng.randrange(len(parts))
        index, total, piece, kind = parts[at]
        match rng.randrange(5):
            case 0:
                parts.append(parts[at])
            case 1:
                parts[at] = (rng.randrange(1, 300), rng.randrange(1, 65536), piece, kind)
            case 2:
                parts[at] = (index, total + rng.randrange(3), piece, rng.randrange(256))
            case 3:
                parts[at] = (index, total, piece * rng.randrange(9), kind)
            case _:
                rng.shuffle(parts)
    for index, total, piece, kind in parts:
        yield inside.seal_chain(header, kind, piece, part=Part(index, total))


# What is said.


def _genuine(scene: Scene) -> list[tuple[Payload, ...]]:
    """Both messages of IKE_AUTH first, then all that the hosts or others could say here."""
    whole = Scene(Stage.UP)
    opened = [whole.inside.open(data) for data, _ in whole.messages[2:4]]
    for data, _ in scene.messages[2:]:
        try:
            opened.append(scene.inside.open(data))
        except Exception:
            continue
    # The proofs of the connection under attack, where it has got so far.
    if len(scene.messages) > 2:
        opened[0] = scene.inside.open(scene.messages[2][0])
    if len(scene.messages) > 3:
        opened[1] = scene.inside.open(scene.messages[3][0])
    spis = [
        spi.to_bytes(4, "big")
        for host in (scene.alice, scene.bob)
        for sa in host.sas.values()
        for spi in (sa.inbound_spi, sa.outbound_spi)
    ]
    for spi in spis:
        opened.append((Delete(ProtocolId.ESP, (spi,)),))
        rekey = Notify(NotifyType.REKEY_SA, b"", ProtocolId.ESP, spi)
        opened.append((rekey, *samples.CHAINS[3]))
    opened += [(Notify(number),) for number in NotifyType]
    return [*opened, *samples.CHAINS]


def mutated(rng: random.Random, payloads: tuple[Payload, ...]) -> tuple[int, bytes]:
    """The type of the first payload and the octets of a chain."""
    raw = [(int(p.payload_type), 0, p.build()) for p in payloads]
    for _ in range(rng.choice((0, 1, 1, 2, 3, 6))):
        _change(rng, raw)
    number = raw[0][0] if raw else rng.choice((0, 0, 0, 41, 46, 53))
    chain = b""
    for (_, reserved, body), following in zip_longest(raw, [kind for kind, _, _ in raw[1:]]):
        chain += bytes([following or 0, reserved]) + (4 + len(body)).to_bytes(2, "big") + body
    if rng.random() < 0.15:
        chain = _octets(rng, chain)
    if rng.random() < 0.05:
        number = rng.randrange(256)
    return number, chain[:60_000]


def _change(rng: random.Random, raw: list[RawPayload]) -> None:
    at = rng.randrange(len(raw) + 1)
    sample = rng.choice(samples.PAYLOADS)
    fresh = (int(sample.payload_type), 0, sample.build())
    if at == len(raw) or rng.random() < 0.1:
        raw.insert(at, fresh)
        return
    kind, reserved, body = raw[at]
    match rng.randrange(9):
        case 0:
            del raw[at]
        case 1:
            raw[at:at] = [raw[at]] * rng.choice((1, 1, 2, 120))
        case 2:
            rng.shuffle(raw)
        case 3:
            raw[at] = (kind, 0x80, body)
        case 4:
            raw[at] = (rng.randrange(256), rng.choice((0, 0x80)), body)
        case 5:
            raw[at] = (kind, reserved, rng.randbytes(rng.choice((0, 1, 3, 8, 200))))
        case _:
            raw[at] = (kind, reserved, _octets(rng, body))


def _octets(rng: random.Random, octets: bytes) -> bytes:
    data = bytearray(octets)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(6):
            case 0:
                data[at : at + 1] = bytes([rng.choice(_INTERESTING)])
            case 1:
                data[at : at + 2] = rng.choice((b"\0\0", b"\xff\xff", b"\0\1", b"\0\4"))
            case 2:
                del data[at : at + rng.randrange(1, 20)]
            case 3:
                data[at:at] = rng.randbytes(rng.randrange(1, 20))
            case 4:
                data[at:at] = data[: rng.randrange(64)]
            case _:
                if data:
                    data[at % len(data)] ^= 1 << rng.randrange(8)
    return bytes(data)


# What must hold.


def _hold(scene: Scene) -> None:
    limits = Limits()
    for host in (scene.alice, scene.bob):
        sessions = list(host.endpoint._sessions)
        assert len(sessions) <= _MOST_SESSIONS, f"{host.name} has {len(sessions)} IKE SAs"
        children: set[int] = set()
        for session in sessions:
            assert session.link.gathered_octets <= 2 * limits.message_octets
            if isinstance(session.state, Established):
                assert isinstance(session.state.verified, VerifiedPeer)
                assert len(session.state.children) <= limits.children + 2
                children.update(child.sa.inbound_spi for child in session.state.children)
        assert set(host.sas) == children, f"{host.name} has SAs that belong to nobody"


def _modest(effects: list[Effect]) -> None:
    assert len(effects) <= _MOST_EFFECTS
    back = sum(len(effect.data) for effect in effects if isinstance(effect, Send))
    assert back <= _MOST_OCTETS_BACK, f"{back} octets sent"


def _genuine_proof(opened: Opened, genuine: tuple[Payload, ...]) -> None:
    """An SA was installed by this message, or by fragments: then AUTH and ID are the true ones."""
    try:
        said = parse_chain(opened.first_payload, opened.chain)
    except WireError:
        return  # it was not this message's doing: its fragments were changed on the way
    identity = IdResponder if opened.header.response else IdInitiator
    assert first(said, Authentication) == first(genuine, Authentication)
    assert first(said, identity) == first(genuine, identity)


def _aftermath(scene: Scene) -> None:
    """From now on everything arrives, and both come to the same."""
    begun = {host.name: len(host.events) for host in (scene.alice, scene.bob)}
    scene.release()
    scene.network.run(300)
    _hold(scene)
    alice, bob = scene.alice, scene.bob
    views = [{view.initiator_spi for view in host.endpoint.sessions()} for host in (alice, bob)]
    assert views[0] == views[1], "one of them has an IKE SA that the other has not"
    for host in (alice, bob):
        lives = [s for s in host.endpoint._sessions if not isinstance(s.state, Closed)]
        ends = (*host.saw(Failure), *host.saw(ClosedByUs))
        was_known = begun[host.name] or host is alice
        assert lives or ends or not was_known, f"{host.name}: it ended, and nobody was told why"


# Many of them.


def attempt(seed: int) -> tuple[int, str]:
    """What went wrong, or ""."""
    try:
        live(seed)
    except Exception:
        return seed, traceback.format_exc()
    return seed, ""


def main() -> int:
    """Exits 1 when a seed has failed."""
    parser = argparse.ArgumentParser(description="Fuzz IKE from inside of SK.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--first", type=int, help="seed; default: another one each time")
    parser.add_argument("--processes", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--replay", type=int, metavar="SEED")
    options = parser.parse_args()
    if options.replay is not None:
        print("\n".join(live(options.replay).said))
        return 0
    begin = random.SystemRandom().randrange(2**48) if options.first is None else options.first
    end = time.monotonic() + options.seconds
    done = failed = 0
    with multiprocessing.Pool(options.processes) as pool:
        while time.monotonic() < end and failed < _ENOUGH_FAILED:
            seeds = range(begin + done, begin + done + _SEEDS_AT_ONCE)
            for seed, problem in pool.imap_unordered(attempt, seeds, chunksize=8):
                if problem:
                    failed += 1
                    print(f"seed {seed}:\n{problem}", flush=True)
            done += len(seeds)
    print(f"inside SK: {done} conversations from seed {begin}, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
