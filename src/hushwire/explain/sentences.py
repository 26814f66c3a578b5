"""Outcomes as sentences: what happened, why, and what to do next."""

from __future__ import annotations

from functools import singledispatch

from hushwire.explain import certificates
from hushwire.explain import outcome as o


@singledispatch
def tell(event: o.Event) -> str:
    """One paragraph for a person, without a final newline."""
    raise TypeError(f"no sentence for {type(event).__name__}")


@tell.register
def _(event: o.Connecting) -> str:
    port = f"inside TCP, port {event.tcp_port}" if event.tcp_port else "to UDP port 500"
    return f"{event.peer}: knocking at {event.address} (IKE_SA_INIT {port})."


@tell.register
def _(event: o.AskingPeer) -> str:
    return (
        f"{event.peer}: it takes none of our proposals and does not say which it would; asking it "
        "once, with all that Hushwire can do."
    )


@tell.register
def _(event: o.PeerAnswered) -> str:
    nat = f" It seems that {event.nat}: going on in UDP, port 4500." if event.nat else ""
    return (
        f"{event.peer}: {event.address} answered; the two sides chose {event.ike_suite} for IKE."
        f"{nat}"
    )


@tell.register
def _(event: o.Authenticated) -> str:
    return f"{event.peer}: authenticated as {event.identity} by its {event.method}."


@tell.register
def _(event: o.TunnelUp) -> str:
    carrier = {
        "esp": "ESP, IP protocol 50",
        "udp": "ESP in UDP, port 4500",
        "tcp": "ESP in TCP",
    }[event.encapsulation]
    mode = "" if event.mode == "tunnel" else f" in {event.mode} mode"
    return (
        f"{event.peer}: tunnel up{mode}, {_these(event.local)} <-> {_these(event.remote)}, "
        f"{event.esp_suite} ({carrier})."
    )


@tell.register
def _(event: o.Rekeyed) -> str:
    by = "" if event.initiator else ", as the peer wished"
    return f"{event.peer}: new keys for the {event.what}{by}, {event.suite}."


@tell.register
def _(event: o.RekeyFailed) -> str:
    reason = f" {tell(event.failure)}" if event.failure else ""
    if not event.seconds:
        return (
            f"{event.peer}: the peer wanted new keys for the {event.what}, and was refused "
            f"({event.why}).{reason}"
        )
    return (
        f"{event.peer}: no new keys for the {event.what} ({event.why}).{reason} Making a new "
        f"tunnel in place of this one, or trying again in {event.seconds:.0f} seconds; until then "
        "the old keys do."
    )


@tell.register
def _(event: o.DuplicateClosed) -> str:
    return f"{event.peer}: both sides began at once; one of the two tunnels is closed again."


@tell.register
def _(event: o.ConnectionLost) -> str:
    return (
        f"{event.peer}: the TCP connection to {event.address} is lost ({event.why}); "
        "connecting again. The tunnel stays, its packets are dropped until then."
    )


@tell.register
def _(event: o.Reconnected) -> str:
    return f"{event.peer}: connected to {event.address} again; the tunnel goes on."


@tell.register
def _(event: o.Moved) -> str:
    way = f"from {event.local} to {event.remote}"
    if event.refused:
        return f"{event.peer}: the peer does not take packets {way} ({event.refused})."
    return f"{event.peer}: the tunnel goes on {way}."


@tell.register
def _(event: o.PeerReplaced) -> str:
    return f"{event.peer}: the peer has started anew; its older tunnel is forgotten."


@tell.register
def _(event: o.ClosedByUs) -> str:
    if event.acknowledged:
        return f"{event.peer}: tunnel closed, and the peer knows."
    return f"{event.peer}: tunnel closed; the peer did not answer, it will notice by itself."


@tell.register
def _(event: o.ClosedByPeer) -> str:
    return f"{event.peer}: the peer closed the tunnel."


@tell.register
def _(event: o.PeerSilent) -> str:
    if event.was_up:
        return (
            f"{event.peer}: tunnel down. {event.address} has not answered {event.tries} liveness "
            f"checks in {event.seconds:.0f} seconds: it is gone, or the network between is."
        )
    waited = (
        f"{event.peer}: no answer from {event.address} to {event.tries} {event.exchange} messages "
        f"in {event.seconds:.0f} seconds."
    )
    if event.in_tcp:
        return (
            f"{waited} It does accept TCP connections: does an IKEv2 daemon listen there, one that "
            'knows RFC 9329 and has TCP allowed for us (encap = "auto" or "tcp")?'
        )
    if event.exchange == "IKE_SA_INIT":
        tcp = f" Inside TCP, which was tried as well: {event.tcp}." if event.tcp else ""
        return (
            f"{waited}{tcp} Is hushwire (or another IKEv2 daemon) running there, is the endpoint "
            "right, and does every firewall between let UDP 500 and 4500 through?"
        )
    return (
        f"{waited} It answered the first message, so UDP 500 is open; UDP 4500 may be filtered on "
        "the way, or large packets are lost."
    )


@tell.register
def _(event: o.NoConnection) -> str:
    return (
        f"{event.peer}: no TCP connection to {event.address}, port {event.port}: {event.why}. "
        'Does hushwire run there, with encap = "auto" or "tcp" for us and the same tcp_port, and '
        "does every firewall between let that port through?"
    )


@tell.register
def _(event: o.NoProposal) -> str:
    key = event.protocol.lower()
    table = [f"    we accept      {text}" for text in event.ours]
    table += [f"    they {'offer' if event.refused_by_us else 'accept'}     {text}"
              for text in event.theirs]  # fmt: skip
    who = event.peer or "a stranger"
    lines = [f"{who}: no {event.protocol} proposal in common.", *table]
    if event.theirs:
        lines.append(
            f'    Put one of theirs into our file, {key} = ["{event.theirs[0]}"] under the peer, '
            "or one of ours into theirs."
        )
    elif event.asked:
        lines.append(
            "    Shown all that Hushwire can do, it takes nothing. Its own log says what it wants."
        )
    else:
        lines.append(
            "    The peer does not tell what it would accept: its own log does. "
            f"Then put that into our file, {key} = [...] under the peer."
        )
    return "\n".join([*lines, *_perhaps_the_mode(event.transport)])


@tell.register
def _(event: o.PeerNotAuthenticated) -> str:
    cure = (
        "Put the same psk_file content on both sides"
        if event.method == "shared secret"
        else "Compare public_key in our file with what `hushwire pubkey` prints there"
    )
    return (
        f"{event.peer}: the peer at the other end says it is {event.identity} but does not prove "
        f"it: {event.detail}. Nothing was let through. {cure}; if they do agree, somebody else is "
        "answering in its place."
    )


tell.register(certificates.CertificateRefused, certificates.sentence)


@tell.register
def _(event: o.UnknownPeer) -> str:
    said = f"somebody at {event.address} who calls itself {event.identity} asked for a tunnel"
    if event.key:
        return (
            f"{said}, and no [peer] in our file has its key. Refused. If you expect it, this is "
            f'the line for our file: public_key = "{event.key}"'
        )
    return (
        f"{said}, and no [peer] in our file has this id. Refused. If you expect it, this is the "
        f'line for our file: id = "{event.identity}"'
    )


@tell.register
def _(event: o.WrongIdentity) -> str:
    return (
        f"{event.peer}: the peer answers as {event.got}, and our file expects {event.expected}. "
        "Correct id (or public_key) under the peer in our file, or local_id in its own."
    )


@tell.register
def _(event: o.RefusedUs) -> str:
    cure = {
        "shared secret": "Do both sides have the same psk_file content, and does the peer know us "
        "by this name?",
        "certificate": "Does the peer trust the authority of our cert_file (strongSwan: "
        "swanctl/x509ca), expect us by this name (remote { id = ... }), and know of no revocation? "
        "Its own log says which.",
    }.get(
        event.method,
        "Does the peer's file have our public_key, as `hushwire pubkey` prints it here?",
    )
    return (
        f"{event.peer}: the peer does not accept our proof (AUTHENTICATION_FAILED). We said that "
        f"we are {event.our_identity}, by {event.method}. {cure}"
    )


@tell.register
def _(event: o.SelectorsUnacceptable) -> str:
    lines = [
        f"{event.peer}: the networks of the two sides do not overlap (TS_UNACCEPTABLE).",
        f"    we carry       {_these(event.our_local)} <-> {_these(event.our_remote)}",
    ]
    if event.their_local:
        # The peer's local side is our remote one: turned round so that the rows compare.
        lines.append(
            f"    they ask for   {_these(event.their_remote)} <-> {_these(event.their_local)}"
        )
    lines.append(
        "    Our networks must meet the peer's local_networks (by default its tunnel addresses), "
        "and the other way round."
    )
    return "\n".join([*lines, *_perhaps_the_mode(event.transport)])


@tell.register
def _(event: o.ModeConflict) -> str:
    refusal = (
        "the peer will not do transport mode"
        if event.theirs == "tunnel"
        else "the peer does transport mode only"
    )
    return (
        f'{event.peer}: {refusal}: set mode = "{event.ours}" there, '
        f'or mode = "{event.theirs}" here.'
    )


@tell.register
def _(event: o.EncapsulationConflict) -> str:
    return (
        f'{event.peer or "a peer"}: one side has encap = "udp", and the other does not do UDP '
        'encapsulation (encap = "esp"?). Use encap = "auto" on either side.'
    )


@tell.register
def _(event: o.RefusedByPeer) -> str:
    return (
        f"{event.peer}: the peer refused our {event.exchange} with {event.notify}. "
        "Its own log says why."
    )


@tell.register
def _(event: o.PeerMisbehaved) -> str:
    return (
        f"{event.peer or 'a stranger'}: {event.exchange} ended because the peer broke the "
        f"protocol: {event.detail}."
    )


@tell.register
def _(event: o.Retrying) -> str:
    return f"{event.peer}: trying again in {event.seconds:.0f} s."


def _perhaps_the_mode(transport: bool) -> tuple[str, ...]:
    if not transport:
        return ()
    return ('    Or the peer will not do transport mode: set it there, or mode = "tunnel" here.',)


def _these(texts: tuple[str, ...]) -> str:
    return ", ".join(texts)
